"""What a broker that is well does not take: a partition without a leader, or with too few replicas.

What timed out there rests, and everything else goes on: first the keys of it, and the whole topic where they are many,
or where more of them turn up again and again, since each time costs everybody a while. After a pause the first message
of each is tried, beside everything else; what is taken then lets its key go.
"""

from collections.abc import Collection, Container, Iterable, Sequence

from django_dlq import signals
from django_dlq.circuit_breaker import CircuitBreaker
from django_dlq.models import BrokerOutage
from django_dlq.models.outgoing import Outgoing
from django_dlq.models.resting import Resting
from django_dlq.relaying.circuits import now

MOST_KEYS = 100
"""Of a topic with more keys that rest, all of it does: so many are named in statements, and held in memory."""

MOST_TIMES = 3
"""After so many sends of which other keys of a topic timed out, all of it rests."""

MOST_TRIED = 20
"""How many messages are tried at once, of different keys."""


class _Rest:
    """What rests of one topic: these keys, or all of it. first: by key, the id of the message that goes first."""

    def __init__(self) -> None:
        self.breaker = CircuitBreaker(clock=now)
        self.first: dict[str | None, int] = {}
        self.times = 0
        self.is_whole = False

    def add(self, rows: Iterable[Outgoing]) -> None:
        self.times += 1
        for row in rows:
            if row.key not in self.first and len(self.first) < MOST_KEYS:
                self.first[row.key] = row.id
            elif row.key not in self.first:
                self.is_whole = True
        self.is_whole = self.is_whole or self.times >= MOST_TIMES


class Rests:
    """What rests for one relay, by broker and topic; it is also written down for people to see."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._rests: dict[tuple[str, str], _Rest] = {}

    def now(self) -> Resting:
        """Return what is to be left alone."""
        whole = {place for place, rest in self._rests.items() if rest.is_whole}
        keys = {(*place, key) for place, rest in self._rests.items() if place not in whole for key in rest.first}
        return Resting(frozenset(whole), frozenset(keys))

    def told(self) -> dict[str, str]:
        """Return what a person would call them, each with the reason."""
        return {f"{alias} (topic {topic})": rest.breaker.reason for (alias, topic), rest in self._rests.items()}

    def aliases(self) -> set[str]:
        """Return the brokers of which something rests."""
        return {alias for alias, _ in self._rests}

    def choose(self, alias: str) -> list[int]:
        """Return the ids of the messages of this broker that are to be tried now, in turn; `tried` must follow."""
        chosen: list[int] = []
        for (other, _), rest in self._rests.items():
            if other == alias and len(chosen) < MOST_TRIED and rest.breaker.allows():
                keys = list(rest.first)[: MOST_TRIED - len(chosen)]
                for key in keys:  # to the end of the row, so that each has its turn
                    rest.first[key] = rest.first.pop(key)
                chosen += [rest.first[key] for key in keys]
        return chosen

    def rest(self, alias: str, rows: Sequence[Outgoing], error: Exception) -> None:
        """Leave alone what has just timed out, and its keys with it."""
        topics: dict[str, list[Outgoing]] = {}
        for row in rows:
            topics.setdefault(row.topic, []).append(row)
        for topic, some in topics.items():
            is_new = (alias, topic) not in self._rests
            rest = self._rests.setdefault((alias, topic), _Rest())
            rest.add(some)
            rest.breaker.failed(str(error))
            if is_new:
                BrokerOutage.objects.begin(self._owner, alias, str(error), topic=topic)
                signals.tell(signals.topic_unavailable, type(self), broker=alias, topic=topic, error=error)

    def tried(
        self, alias: str, ids: Collection[int], *, failed: Container[int] = (), error: Exception | None = None
    ) -> None:
        """Let go what was tried and is not among what has failed, and leave that alone for longer."""
        for (other, topic), rest in list(self._rests.items()):
            if other != alias:
                continue
            was_tried = not set(ids).isdisjoint(rest.first.values())
            rest.first = {key: pk for key, pk in rest.first.items() if pk in failed or pk not in ids}
            if not rest.first:
                self._end(alias, topic)
            elif was_tried and error is not None:
                rest.breaker.failed(str(error))
            else:
                rest.breaker.forgo()

    def forgo(self, alias: str) -> None:
        """Take note that nothing was tried after all."""
        for (other, _), rest in self._rests.items():
            if other == alias:
                rest.breaker.forgo()

    def hurry(self, alias: str) -> None:
        """Try soon what rests of a broker that was out of reach, and is back."""
        for (other, _), rest in self._rests.items():
            if other == alias:
                rest.breaker, reason = CircuitBreaker(clock=now), rest.breaker.reason
                rest.breaker.failed(reason)

    def _end(self, alias: str, topic: str) -> None:
        del self._rests[alias, topic]
        BrokerOutage.objects.end(self._owner, alias, topic=topic)
        signals.tell(signals.topic_available, type(self), broker=alias, topic=topic)
