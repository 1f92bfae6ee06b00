"""What waits in the outbox because its broker, which is well, does not take it."""

from collections import defaultdict
from dataclasses import dataclass
from functools import reduce
from operator import and_, itemgetter, or_
from typing import Final

from django.db.models import Q

from django_dlq.models.holds import of_keys


@dataclass(frozen=True, slots=True)
class Resting:
    """What a relay leaves alone at some moment.

    topics: each broker and topic of which nothing is sent. keys: each broker, topic and key of which nothing is sent;
    the key None stands for all messages without one.
    """

    topics: frozenset[tuple[str, str]] = frozenset()
    keys: frozenset[tuple[str, str, str | None]] = frozenset()

    def __bool__(self) -> bool:
        """Tell whether anything rests."""
        return bool(self.topics or self.keys)

    def lets_go(self) -> Q:
        """Return the condition of the messages that may be sent."""
        return reduce(and_, [~resting for resting in self._conditions()], Q())

    def waits(self) -> Q:
        """Return the condition of those that may not, of which there must be some."""
        return reduce(or_, self._conditions())

    def _conditions(self) -> list[Q]:
        by_broker: dict[str, Q] = defaultdict(Q)
        for broker, topic in sorted(self.topics):
            by_broker[broker] |= Q(topic=topic)
        for broker in {broker for broker, _, _ in self.keys}:
            mine = {(topic, key) for other, topic, key in self.keys if other == broker}
            named = {(topic, key) for topic, key in mine if key is not None}
            nameless = sorted(topic for topic, key in mine if key is None)
            by_broker[broker] |= (of_keys(named) if named else Q()) | (
                Q(topic__in=nameless, key__isnull=True) if nameless else Q()
            )
        return [Q(Q(broker=broker), resting) for broker, resting in sorted(by_broker.items(), key=itemgetter(0))]


NOTHING_RESTS: Final = Resting()
