"""When something that failed is left alone, and who may ask whether it works again."""

import random
import threading
import time
from collections.abc import Callable

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
PROBE_LIMIT = 60.0
"""Seconds after which a probe that never reported is given up for another, or its circuit would stay open for good."""


class CircuitBreaker:
    """Tell whether something may be used: yes until it fails, then not for a pause, then once to see.

    It opens after `threshold` failures in a row. After a pause one caller may try, the probe: its success closes the
    circuit, its failure begins a pause twice as long, up to `longest` seconds, with jitter so that many processes do
    not come back together. What was under way when it opened and reports during the pause changes nothing. Any thread
    may call. Not promised: that nothing but the probe reports during the probe; whatever reports then counts as it.
    """

    def __init__(
        self,
        *,
        threshold: int = 1,
        longest: float = LONGEST_PAUSE,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.reason = ""
        self.troubles = 0
        self.since: float | None = None
        self._threshold = threshold
        self._longest = longest
        self._clock = clock
        self._chance = chance
        self._until: float | None = None
        self._probe_began: float | None = None
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it has failed, and no success is known since."""
        return self._until is not None

    @property
    def is_probing(self) -> bool:
        """Whether somebody is trying at this moment."""
        began = self._probe_began
        return began is not None and self._clock() - began < PROBE_LIMIT

    @property
    def wait(self) -> float:
        """The seconds that are left of the pause; 0 if there is none."""
        until = self._until
        return 0.0 if until is None else max(0.0, until - self._clock())

    def allows(self) -> bool:
        """Tell whether to use it now; if that is to be the probe, `succeeded`, `failed` or `forgo` must follow."""
        with self._lock:
            if not self.is_open:
                return True
            if self.wait or self.is_probing:
                return False
            self._probe_began = self._clock()
            return True

    def succeeded(self) -> None:
        """Close the circuit, and forget the failures."""
        with self._lock:
            if not self.wait:
                self.reason, self.troubles, self.since = "", 0, None
                self._until = self._probe_began = None

    def failed(self, reason: str) -> None:
        """Count a failure, and open the circuit if it is enough."""
        with self._lock:
            self.reason = reason
            if self.wait:
                return
            now = self._clock()
            self.troubles += 1
            self.since = now if self.since is None else self.since
            if self.troubles >= self._threshold:
                self._until, self._probe_began = now + self._pause(), None

    def forgo(self) -> None:
        """Leave the probe to the next who asks, since it was not made."""
        with self._lock:
            self._probe_began = None

    def _pause(self) -> float:
        return pause_after(self.troubles - self._threshold, longest=self._longest, chance=self._chance)


def pause_after(trials: int, *, longest: float, chance: Callable[[], float] = random.random) -> float:
    """Return the seconds to leave alone what has failed so many trials: doubling up to `longest`, with jitter."""
    full: float = min(longest, FIRST_PAUSE * 2 ** min(trials, 30))
    return full * (1 + chance()) / 2
