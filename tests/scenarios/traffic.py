"""Messages by the hundred, who published what in which order, and what a topic must hold afterwards."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Message as Arrival
from django.db import transaction

from django_dlq import outbox
from django_dlq.message import Message
from django_dlq.models import DeadLetter, PublishedMessage
from tests.scenarios.background import repeating
from tests.scenarios.stage import Stage

Sequences = dict[str, list[str]]
"""The ids of each key's messages, in order."""


@dataclass(frozen=True)
class Tally:
    """What a topic held: how many messages, and how many of them were repeats of an id."""

    messages: int
    repeats: int


class Traffic:
    """Publish to a stage's topic over some keys, and remember what was committed.

    Each key is published by one thread, so the order of its commits is the order of its ids, as for an application that
    locks the row that the key stands for.
    """

    def __init__(self, stage: Stage, *, name: str = "key", keys: int = 20) -> None:
        self.stage = stage
        self.keys = [f"{name}-{number}" for number in range(keys)]
        self.published: Sequences = defaultdict(list)
        self.bodies: dict[str, bytes] = {}

    @property
    def count(self) -> int:
        """How many messages were committed."""
        return len(self.bodies)

    def publish(self, number: int, *, fails: bool = False) -> None:
        """Publish so many messages in one transaction, over the keys in turn; roll it back if it fails."""
        start = self.count
        keys = [self.keys[(start + place) % len(self.keys)] for place in range(number)]
        messages = [
            Message(self.stage.topic, {"order": f"{key}:{start + place}", "is": not fails}, key=key)
            for place, key in enumerate(keys)
        ]
        with transaction.atomic():
            rows = outbox.publish_many(messages)
            transaction.set_rollback(fails)
        if fails:
            return
        for row in rows:
            self.published[row.key or ""].append(row.message_id)
            self.bodies[row.message_id] = row.body_bytes or b""

    @contextmanager
    def flowing(self, *, at_once: int = 10, pause: float = 0.03) -> Iterator[None]:
        """Publish from a thread of its own until the block ends, and roll a transaction back now and then."""

        def flow() -> None:
            self.publish(at_once, fails=self.count % 7 == 0)
            self.publish(at_once)

        with repeating(flow, every=pause):
            yield

    def check(self) -> Tally:
        """Compare the topic with what was committed.

        All is there and nothing else, each key's ids came first in their order, and repeats are the same by the byte.
        """
        assert not DeadLetter.objects.exists(), list(DeadLetter.objects.values_list("error_class", "error_message")[:5])
        arrivals = self.stage.messages()
        first = check_repeats(arrivals)
        assert set(first) == set(self.bodies), difference(set(self.bodies), set(first))
        assert {name: arrival.value() for name, arrival in first.items()} == self.bodies
        arrived = by_key(first.values())
        wrong = {key: ids for key, ids in self.published.items() if arrived[key] != ids}
        assert not wrong, {key: first_difference(ids, arrived[key]) for key, ids in wrong.items()}
        history = PublishedMessage.objects.filter(topic=self.stage.topic).values_list("message_id", flat=True)
        assert Counter(history) == Counter(list(self.bodies))
        return Tally(len(arrivals), len(arrivals) - len(first))


def id_of(arrival: Arrival) -> str:
    """Return the id of a message."""
    return str(dict(arrival.headers() or [])["id"], "ascii")


def check_repeats(arrivals: Iterable[Arrival]) -> dict[str, Arrival]:
    """Return what arrived first of each id, in the order of arrival; what arrived again must be the same."""
    first: dict[str, Arrival] = {}
    for arrival in arrivals:
        known = first.setdefault(id_of(arrival), arrival)
        assert (known.key(), known.value(), known.headers()) == (arrival.key(), arrival.value(), arrival.headers())
        assert known.partition() == arrival.partition()
    return first


def by_key(arrivals: Iterable[Arrival]) -> Sequences:
    """Sort ids by key, each key's in the order of arrival."""
    sequences: Sequences = defaultdict(list)
    for arrival in arrivals:
        sequences[(arrival.key() or b"").decode()].append(id_of(arrival))
    return sequences


def difference(expected: set[str], found: set[str]) -> str:
    """Say what is missing and what is too much."""
    return f"missing: {sorted(expected - found)[:5]}, never committed: {sorted(found - expected)[:5]}"


def first_difference(expected: list[str], found: list[str]) -> str:
    """Say where two sequences part."""
    place = next((place for place, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), -1)
    return f"at {place} of {len(expected)}: expected {expected[place]}, found {found[place : place + 3]}"
