"""How many messages are given to each broker at once."""

from collections.abc import Iterable

from django_dlq.conf import conf

FIRST_BATCH, LEAST_BATCH = 500, 50
QUICK, SLOW = 0.25, 1.0
"""Seconds: a full batch that was sent in less makes the next one larger, one that took longer makes it smaller."""


class BatchSizes:
    """The size of each broker's batches: so large that fixed costs do not matter, so small that none takes long."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}

    def of(self, alias: str) -> int:
        """Return how many messages this broker is given at once."""
        return min(self._sizes.get(alias, FIRST_BATCH), conf.DLQ_RELAY_BATCH)

    def page(self, away: Iterable[str]) -> int:
        """Return how many messages to read at once: as many as the quickest broker takes of those that are not away."""
        known = [self.of(alias) for alias in self._sizes if alias not in away]
        return max(known, default=min(FIRST_BATCH, conf.DLQ_RELAY_BATCH))

    def adapt(self, alias: str, rows: int, seconds: float) -> None:
        """Learn from a batch that was sent."""
        size = self.of(alias)
        if rows >= size and seconds < QUICK:
            self._sizes[alias] = min(size * 2, conf.DLQ_RELAY_BATCH)
        elif seconds > SLOW:
            self._sizes[alias] = max(size // 2, LEAST_BATCH)
        else:
            self._sizes[alias] = size

    def shrink(self, alias: str) -> None:
        """Make batches much smaller: there is something in them that cannot be told from the others in time."""
        self._sizes[alias] = max(self.of(alias) // 4, 1)
