"""How many messages each handler may be given in a time, by all machines of one process together."""

import math
import sys
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal

from django_dlq.rate_limit import TokenBucket
from django_dlq.registry import Handler

Side = Literal["fresh", "retries"]
OTHER: Final[dict[Side, Side]] = {"fresh": "retries", "retries": "fresh"}

TURN: Final = 1.0
"""Seconds for which what one side wanted in vain is kept for it, if the other had the last."""

SHORTEST_WAIT: Final = 0.005
"""Seconds after which a side looks whether the other has had its turn."""

NO_LIMIT: Final = sys.maxsize


@dataclass(slots=True)
class Limit:
    """The rate of one handler, and which of the two sides has had of it last."""

    bucket: TokenBucket
    last: Side | None = None
    # When a side wanted some in vain, since it was given some.
    wanted: dict[Side, float] = field(default_factory=dict)

    def there(self, side: Side, now: float) -> int:
        """Return how many messages the side may begin: none while it is the other's turn."""
        there = max(0, self.bucket.there(now))
        return 0 if self._is_others_turn(side, now) else there

    def take(self, side: Side, count: int) -> None:
        """Count messages that have begun."""
        self.bucket.take(count)
        self.last = side
        self.wanted.pop(side, None)

    def wait(self, side: Side) -> float | None:
        """Return the seconds after which the side may be given what it wants; None if it wants nothing."""
        return max(SHORTEST_WAIT, self.bucket.wait()) if side in self.wanted else None

    def _is_others_turn(self, side: Side, now: float) -> bool:
        return self.last == side and now - self.wanted.get(OTHER[side], -math.inf) < TURN


class Rates:
    """The rates of some handlers. Any thread may use it.

    While both fresh messages and retries of a handler are held up by its rate, they have their turns one after the
    other, so that neither starves. What two threads take at the same moment may be more than was there: it is a debt,
    which is paid before anybody is given more. `limited`: the handlers that have a rate, in messages per second.
    """

    def __init__(self, handlers: Collection[Handler]) -> None:
        self._alone = threading.Lock()
        self.limited = [(handler, rate) for handler in handlers if (rate := handler.messages_per_second) is not None]
        self._limits = {handler.name: Limit(TokenBucket(rate)) for handler, rate in self.limited}

    def there(self, handler: Handler, side: Side) -> int:
        """Return how many messages the handler may be given now."""
        if (limit := self._limits.get(handler.name)) is None:
            return NO_LIMIT
        with self._alone:
            return limit.there(side, time.monotonic())

    def want(self, handler: Handler, side: Side) -> None:
        """Hear that there are messages for a handler that may be given none."""
        if (limit := self._limits.get(handler.name)) is not None:
            with self._alone:
                limit.wanted[side] = time.monotonic()

    def take(self, handler: Handler, side: Side, count: int = 1) -> None:
        """Count messages that it is given."""
        if (limit := self._limits.get(handler.name)) is not None:
            with self._alone:
                limit.take(side, count)

    def wait(self, side: Side) -> float:
        """Return the seconds after which a handler that its rate holds up may go on; 0 without such."""
        with self._alone:
            waits = [wait for limit in self._limits.values() if (wait := limit.wait(side)) is not None]
        return min(waits, default=0.0)


UNLIMITED: Final = Rates(())
