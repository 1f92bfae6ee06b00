"""Which brokers a relay leaves alone, because it could not reach them, and for how long."""

import time

from django_dlq import signals
from django_dlq.circuit_breaker import CircuitBreaker
from django_dlq.models import BrokerOutage


class Circuits:
    """One circuit breaker for each broker; what is open is also written down for people to see."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._breakers: dict[str, CircuitBreaker] = {}

    def open(self) -> dict[str, str]:
        """Return the brokers that could not be reached, each with the reason."""
        return {alias: breaker.reason for alias, breaker in self._breakers.items() if breaker.is_open}

    def choose(self) -> frozenset[str]:
        """Return the brokers to leave alone now; of the others that are open, one message is to be sent to see."""
        return frozenset(alias for alias, breaker in self._breakers.items() if not breaker.allows())

    def is_probe(self, alias: str) -> bool:
        """Tell whether this broker is only to be tried."""
        return alias in self._breakers and self._breakers[alias].is_probing

    def forgo(self) -> None:
        """Take note that nothing was sent after all."""
        for breaker in self._breakers.values():
            breaker.forgo()

    def failed(self, alias: str, error: Exception) -> None:
        """Open the circuit of a broker that could not be reached."""
        self._breakers.setdefault(alias, CircuitBreaker(clock=_now)).failed(str(error))
        BrokerOutage.objects.begin(self._owner, alias, str(error))
        signals.tell(signals.broker_unavailable, type(self), broker=alias, error=error)

    def succeeded(self, alias: str) -> None:
        """Close the circuit of a broker that has answered."""
        if self._breakers.pop(alias, None) is not None:
            BrokerOutage.objects.end(self._owner, alias)
            signals.tell(signals.broker_available, type(self), broker=alias)


def _now() -> float:
    return time.monotonic()
