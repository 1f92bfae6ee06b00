"""The keys whose messages wait in the outbox until somebody acts on a dead letter."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Final

from django.db.models import Count, Exists, Max, OuterRef, Q

from django_dlq.models.dead_letter import DeadLetter
from django_dlq.models.first_rows import first_rows

MOST_NAMED: Final = 5_000
"""Held keys that the relay names in its statements. Having them found by the database takes longer, at every look."""

Stamp = tuple[int, int | None]
"""How many letters hold their keys, and which is the newest: something that changes when other letters do."""


@dataclass(frozen=True, slots=True)
class Holds:
    """What was held at some moment, to be compared with what was held a moment ago.

    keys: each topic and key that is held. stamp: what stands for them where there are too many to name; only the
    database knows them then.
    """

    keys: frozenset[tuple[str, str]] = frozenset()
    stamp: Stamp | None = None

    def __bool__(self) -> bool:
        """Tell whether anything is held."""
        return bool(self.keys or self.stamp)

    @property
    def is_current(self) -> bool:
        """Whether what the database knew while a page was read is still what was held before."""
        return self.stamp is None or self.stamp == _stamp()

    def lets_go(self) -> Q:
        """Return the condition of the messages that wait for nobody; a replay is what the others wait for."""
        if self.stamp is None:
            return ~of_keys(self.keys) | Q(letter_id__isnull=False) if self.keys else Q()
        held = DeadLetter.objects.holding().filter(topic=OuterRef("topic"), key=OuterRef("key"))
        return Q(~Exists(held)) | Q(letter_id__isnull=False)


NOTHING_HELD: Final = Holds()


def current_holds() -> Holds:
    """Return what is held now."""
    # In this order no other index can be taken for a way to find them.
    letters = DeadLetter.objects.holding().order_by("topic").values_list("topic", "key")
    found = first_rows(letters, MOST_NAMED + 1)
    if len(found) > MOST_NAMED:
        return Holds(stamp=_stamp())
    return Holds(frozenset((topic, key) for topic, key in found if key is not None))


def of_keys(keys: Collection[tuple[str, str]]) -> Q:
    """Return the condition of the messages of these topics and keys, of which there must be one at least."""
    topics: dict[str, list[str]] = {}
    for topic, key in sorted(keys):
        topics.setdefault(topic, []).append(key)
    # One condition for each topic: SQLite would find one for each key too deep.
    return reduce(or_, (Q(topic=topic, key__any_of=found) for topic, found in topics.items()))


def _stamp() -> Stamp:
    found = DeadLetter.objects.holding().aggregate(number=Count("pk"), newest=Max("pk"))
    return found["number"], found["newest"]
