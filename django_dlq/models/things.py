"""What may keep messages in the outbox, thing by thing: so what is let go is found without looking at all else."""

from collections.abc import Collection
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q

from django_dlq.models.holds import of_keys
from django_dlq.models.outgoing import Outgoing
from django_dlq.models.resting import Resting

Thing = tuple[str, Any]
"""A kind and which one: a lane, a broker, a topic, a key that is paused or held, what rests. A row has one of each."""


def things_of(row: Outgoing) -> frozenset[Thing]:
    """Return all that might keep this row."""
    broker, topic, key = row.broker, row.topic, row.key
    common = [("lane", row.lane), ("broker", broker), ("topic", topic), ("key", (topic, key)), ("held", (topic, key))]
    return frozenset[Thing]([*common, ("rests", (broker, topic)), ("resting", (broker, topic, key))])


def of_things(things: Collection[Thing]) -> Q:
    """Return the condition of the rows that one of these might keep; there must be one at least."""
    by_kind: dict[str, set[Any]] = {}
    for kind, which in things:
        by_kind.setdefault("key" if kind == "held" else kind, set()).add(which)
    keys = by_kind.pop("key", ())
    resting = Resting(frozenset(by_kind.pop("rests", ())), frozenset(by_kind.pop("resting", ())))
    conditions = [Q(**{f"{kind}__in": sorted(found)}) for kind, found in by_kind.items()]
    conditions += [of_keys(keys)] if keys else []
    conditions += [resting.waits()] if resting else []
    return reduce(or_, conditions)
