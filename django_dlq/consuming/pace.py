"""How many messages each handler may be given now: by its rate, its running calls, and the circuit of what it needs."""

import time
from collections import Counter
from collections.abc import Collection, Sequence

from django_dlq.consuming.circuits import NOT_ASKED, Circuits
from django_dlq.consuming.hand import Delivery, handler_of
from django_dlq.rate_limit import TokenBucket
from django_dlq.registry import Handler


class Pace:
    """What the handlers of one consumer have used up of their limits."""

    def __init__(self, handlers: Collection[Handler], circuits: Circuits = NOT_ASKED) -> None:
        self._circuits = circuits
        self._buckets = {
            handler.name: TokenBucket(handler.messages_per_second)
            for handler in handlers
            if handler.messages_per_second is not None
        }
        self._running = Counter[str]()

    def allowance(self, handler: Handler) -> int:
        """Return how many messages it may be given in one call now."""
        if self._running[handler.name] >= handler.concurrency:
            return 0
        bucket = self._buckets.get(handler.name)
        most = handler.batch_size or 1 if bucket is None else bucket.there(time.monotonic())
        return min(most, self._circuits.allowance(handler)) if most else 0

    def started(self, work: Sequence[Delivery]) -> None:
        """Count a call."""
        name = handler_of(work[0]).name
        self._running[name] += 1
        if name in self._buckets:
            self._buckets[name].take(len(work))

    def ended(self, work: Sequence[Delivery]) -> None:
        """Count its end."""
        self._running[handler_of(work[0]).name] -= 1

    def wait(self) -> float:
        """Return the seconds after which a handler that its rate or its circuit holds up may go on; 0 without such."""
        waits = [bucket.wait() for bucket in self._buckets.values() if bucket.tokens < 1]
        if blocked := self._circuits.wait():
            waits.append(blocked)
        return min(waits, default=0.0)
