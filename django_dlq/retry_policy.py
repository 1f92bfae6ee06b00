"""When a message that failed is tried again, and when it is given up."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from django_dlq.by_class import check_classes, nearest
from django_dlq.exceptions import LONGEST_DELAY, Reject, RetryLater

MOST_ATTEMPTS = 10_000

ROCKETMQ_LADDER = (
    *(timedelta(seconds=seconds) for seconds in (10, 30)),
    *(timedelta(minutes=minutes) for minutes in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30)),
    *(timedelta(hours=hours) for hours in (1, 2)),
)
"""The sixteen delays of RocketMQ's consumers (`messageDelayLevel` from level 3 on, RocketMQ 5.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Decide from the number of attempts and the error whether, and after how long, a message is tried again.

    `delays[n - 1]` is waited after the n-th failed attempt; when they are used up the message is dead. `jitter`, from 0
    to 1, is the share of each delay that chance may take away, so that what failed together does not come back
    together. Errors of the classes in `never_retry`, and Reject, make it dead at once; `per_class` gives errors of a
    class a policy of their own. Of several classes that an error belongs to, the most specific one counts. An attempt
    counts whatever it failed of, and also if it ended in RetryLater, which chooses the delay but adds no attempt.

    Raises TypeError or ValueError for what makes no sense. Not promised: that a retry runs exactly when it is due, only
    that it never runs earlier.
    """

    delays: Sequence[timedelta] = ROCKETMQ_LADDER
    never_retry: Sequence[type[BaseException]] = ()
    per_class: Mapping[type[BaseException], "RetryPolicy"] = field(default_factory=dict)
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Check everything here, where the project is imported, rather than when something fails."""
        _check_delays(self.delays)
        _check_number("jitter", self.jitter, least=0, most=1)
        check_classes("never_retry", self.never_retry)
        if not isinstance(self.per_class, Mapping):
            raise TypeError(f"per_class is a dict of exception classes and their policies, not {self.per_class!r}")
        check_classes("per_class", self.per_class)
        for cls, policy in self.per_class.items():
            if not isinstance(policy, RetryPolicy):
                raise TypeError(f"per_class gives {cls.__name__} a RetryPolicy, not {policy!r}")
            if policy.per_class or policy.never_retry:
                raise ValueError(f"the policy for {cls.__name__} has exceptions of its own; name them in the outer one")
            if issubclass(cls, Reject) or cls in self.never_retry:
                raise ValueError(f"{cls.__name__} is never retried, so a policy for it says nothing")

    @classmethod
    def exponential(
        cls,
        *,
        first: timedelta,
        longest: timedelta,
        attempts: int,
        factor: float = 2.0,
        jitter: float = 0.5,
        **exceptions: Any,
    ) -> "RetryPolicy":
        """Wait `first`, then each time `factor` times as long, up to `longest`; `attempts` in all, the first included.

        `exceptions`: never_retry and per_class.
        """
        _check_attempts(attempts)
        _check_number("factor", factor, least=1, most=1000)
        for delay in (first, longest):
            _check_delay(delay)
        if longest < first:
            raise ValueError(f"longest, {longest}, is shorter than first, {first}")
        delays = tuple(islice(_growing(first, factor, longest), attempts - 1))
        return cls(delays=delays, jitter=jitter, **exceptions)

    @classmethod
    def fixed(cls, *, every: timedelta, attempts: int, jitter: float = 0.0, **exceptions: Any) -> "RetryPolicy":
        """Wait equally long each time; `attempts` in all, the first included.

        `exceptions`: never_retry and per_class.
        """
        _check_attempts(attempts)
        return cls(delays=(every,) * (attempts - 1), jitter=jitter, **exceptions)

    def delay_after(
        self, attempt: int, error: BaseException, *, chance: Callable[[], float] = random.random
    ) -> timedelta | None:
        """Return how long to wait after this failed attempt (the first is 1), or None to give up."""
        if isinstance(error, Reject):
            return None
        policy = nearest({**dict.fromkeys(self.never_retry, GIVE_UP), **self.per_class}, error) or self
        if attempt > len(policy.delays):
            return None
        if isinstance(error, RetryLater) and error.delay is not None:
            return error.delay
        return policy.delays[attempt - 1] * (1 - policy.jitter * chance())


def _growing(delay: timedelta, factor: float, longest: timedelta) -> Iterator[timedelta]:
    while True:
        yield delay
        # Divided, since the product may be more than a timedelta can hold.
        delay = longest if delay >= longest / factor else delay * factor


def _check_delays(delays: object) -> None:
    if not isinstance(delays, Sequence) or isinstance(delays, str):
        raise TypeError(f"delays is a list of timedeltas, not {delays!r}")
    if len(delays) >= MOST_ATTEMPTS:
        raise ValueError(f"delays has {len(delays)} steps; at most {MOST_ATTEMPTS} attempts are possible")
    for delay in delays:
        _check_delay(delay)


def _check_delay(delay: object) -> None:
    if not isinstance(delay, timedelta):
        raise TypeError(f"a delay is a timedelta, not {delay!r}")
    if not timedelta(0) < delay <= LONGEST_DELAY:
        raise ValueError(f"a delay is more than 0 and at most {LONGEST_DELAY.days} days, not {delay}")


def _check_attempts(attempts: object) -> None:
    if not isinstance(attempts, int) or isinstance(attempts, bool):
        raise TypeError(f"attempts is a whole number, not {attempts!r}")
    if not 1 <= attempts <= MOST_ATTEMPTS:
        raise ValueError(f"attempts is from 1 to {MOST_ATTEMPTS}, not {attempts}")


def _check_number(name: str, value: object, *, least: float, most: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} is a number, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name} is from {least} to {most}, not {value}")


GIVE_UP = RetryPolicy(delays=())
