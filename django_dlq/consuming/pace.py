"""How many messages each handler may be given now: by its rate, its running calls, and the circuit of what it needs."""

from collections import Counter
from collections.abc import Callable, Sequence

from django_dlq.consuming.circuits import NOT_ASKED, Circuits
from django_dlq.consuming.delivery import Delivery, handler_of
from django_dlq.consuming.hand import Hand
from django_dlq.consuming.rates import Rates
from django_dlq.registry import Handler

SECONDS_IN_HAND = 1.0
"""Of a handler's messages at its rate: with twice as many in hand no more are taken, until it is these at most."""


class Pace:
    """What the handlers of one consumer have used up of their limits."""

    def __init__(self, rates: Rates, circuits: Circuits = NOT_ASKED) -> None:
        self._rates, self._circuits = rates, circuits
        self._running = Counter[str]()
        self._slow: set[str] = set()

    def allowance(self, handler: Handler) -> int:
        """Return how many of the messages that there are for it it may be given in one call now."""
        if self._running[handler.name] >= handler.concurrency:
            return 0
        most = min(handler.batch_size or 1, self._rates.there(handler, "fresh"))
        if not most:
            self._rates.want(handler, "fresh")
            return 0
        return min(most, self._circuits.allowance(handler))

    def started(self, work: Sequence[Delivery]) -> None:
        """Count a call."""
        handler = handler_of(work[0])
        self._running[handler.name] += 1
        self._rates.take(handler, "fresh", len(work))

    def ended(self, work: Sequence[Delivery]) -> None:
        """Count its end."""
        self._running[handler_of(work[0]).name] -= 1

    def held(self, hand: Hand, *, is_full: Callable[[], bool]) -> list[Delivery]:
        """Return what waits in hand for so long that its partitions shall bring no more: it is cheaper kept there.

        That is what waits for a circuit, and, if the hand is full or was, what waits for its handler's rate.
        """
        if self._rates.limited and (self._slow or is_full()):
            self._slow = {handler.name for handler, rate in self._rates.limited if self._is_slow(handler, rate, hand)}
        if not self._slow and self._circuits.is_closed:
            return []
        return hand.held(lambda handler: handler.name in self._slow or self._circuits.blocks(handler))

    def _is_slow(self, handler: Handler, rate: float, hand: Hand) -> bool:
        seconds = SECONDS_IN_HAND if handler.name in self._slow else 2 * SECONDS_IN_HAND
        return len(hand.held(lambda each: each is handler)) > max(1.0, rate * seconds)

    def wait(self) -> float:
        """Return the seconds after which a handler that its rate or its circuit holds up may go on; 0 without such."""
        waits = self._rates.wait("fresh"), self._circuits.wait()
        return min((wait for wait in waits if wait), default=0.0)
