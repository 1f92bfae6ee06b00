"""When a message that failed is tried again, and when it is given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django_dlq.exceptions import Reject, RetryLater

ROCKETMQ_LADDER = (
    *(timedelta(seconds=seconds) for seconds in (10, 30)),
    *(timedelta(minutes=minutes) for minutes in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30)),
    *(timedelta(hours=hours) for hours in (1, 2)),
)
"""The sixteen delays of RocketMQ's consumers (`messageDelayLevel` from level 3 on, RocketMQ 5.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Decide from the number of attempts and the error whether, and after how long, a message is tried again.

    `delays[n - 1]` is waited after the n-th failed attempt; when they are used up the message is dead. Errors of the
    classes in `never_retry`, and Reject, make it dead at once. Not promised: that a retry runs exactly when it is due,
    only that it never runs earlier.
    """

    delays: Sequence[timedelta] = ROCKETMQ_LADDER
    never_retry: Sequence[type[BaseException]] = ()

    def delay_after(self, attempt: int, error: BaseException) -> timedelta | None:
        """Return how long to wait after this failed attempt (the first is 1), or None to give up."""
        if isinstance(error, (Reject, *self.never_retry)) or attempt > len(self.delays):
            return None
        if isinstance(error, RetryLater) and error.delay is not None:
            return error.delay
        return self.delays[attempt - 1]
