"""Which brokers a relay leaves alone, because it could not reach them, and for how long."""

import time
from collections import deque
from collections.abc import Iterable, Sequence

from django_dlq import signals
from django_dlq.circuit_breaker import CircuitBreaker
from django_dlq.models import BrokerOutage
from django_dlq.models.outgoing import Outgoing

MOST_KEPT = 20
"""How many messages of a broker that is out of reach are remembered to be tried in turn, each of another topic."""


class Circuits:
    """One circuit breaker for each broker; what is open is also written down for people to see.

    One message tells whether a broker is back: of what could not be sent, the topics take turns, since a single
    partition may be in trouble for longer than its broker.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._breakers: dict[str, CircuitBreaker] = {}
        self._waiting: dict[str, deque[int]] = {}

    def open(self) -> dict[str, str]:
        """Return the brokers that could not be reached, each with the reason."""
        return {alias: breaker.reason for alias, breaker in self._breakers.items()}

    def closed(self) -> frozenset[str]:
        """Return the brokers of which nothing is to be read, since it is known what to try them with."""
        return frozenset(alias for alias in self._breakers if self._waiting.get(alias))

    def remember(self, alias: str, rows: Sequence[Outgoing]) -> None:
        """Remember which messages an unreachable broker may be tried with: the first of each topic."""
        first: dict[str, int] = {}
        for row in rows:
            first.setdefault(row.topic, row.id)
        waiting = self._waiting.setdefault(alias, deque(maxlen=MOST_KEPT))
        waiting.extendleft([pk for pk in reversed([*first.values()][:MOST_KEPT]) if pk not in waiting])

    def choose(self, alias: str) -> list[int]:
        """Return which message to try the broker with now, if it is time; `failed` or another must follow."""
        waiting = self._waiting.get(alias)
        if not waiting or not self._breakers[alias].allows():
            return []
        waiting.rotate(-1)
        return [waiting[-1]]

    def forgo(self, alias: str) -> None:
        """Take note that nothing was sent after all."""
        if alias in self._breakers:
            self._breakers[alias].forgo()

    def forget(self, alias: str, ids: Iterable[int]) -> None:
        """Take note that these messages cannot be sent any more, or not now."""
        self.forgo(alias)
        for pk in ids:
            self._waiting[alias].remove(pk)

    def failed(self, alias: str, error: Exception) -> None:
        """Open the circuit of a broker that could not be reached."""
        self._breakers.setdefault(alias, CircuitBreaker(clock=now)).failed(str(error))
        BrokerOutage.objects.begin(self._owner, alias, str(error))
        signals.tell(signals.broker_unavailable, type(self), broker=alias, error=error)

    def succeeded(self, alias: str) -> None:
        """Close the circuit of a broker that has answered."""
        del self._breakers[alias], self._waiting[alias]
        BrokerOutage.objects.end(self._owner, alias)
        signals.tell(signals.broker_available, type(self), broker=alias)


def now() -> float:
    """Return the seconds of the local clock."""
    return time.monotonic()
