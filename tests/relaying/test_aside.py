"""What is urgent or delayed is found in its order, and what may not go now is not gone through again and again."""

import time
from collections.abc import Sequence
from datetime import timedelta

import pytest

from django_dlq import outbox
from django_dlq.models import OutboxMessage, in_future
from django_dlq.models.outbox_reading import Reading, Scope
from django_dlq.models.outgoing import Outgoing
from django_dlq.relay import Relay
from django_dlq.relaying import aside
from django_dlq.relaying.aside import Lines
from django_dlq.relaying.reader import Reader
from tests.scripted_broker import ScriptedBroker

pytestmark = pytest.mark.django_db


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let walks be long apart; return a list to which seconds may be added that pass."""
    monkeypatch.setattr(aside, "REST", (60.0, 300.0))
    real, more = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + sum(more))
    return more


@pytest.fixture
def lines(passes: list[float]) -> Lines:
    lines = Lines()
    lines.is_apart = True
    return lines


def read(lines: Lines, size: int = 100, scope: Scope | None = None) -> list[str]:
    return topics(lines.read(Reading(scope or Scope(), size, using="default"), 0))


def topics(rows: Sequence[Outgoing]) -> list[str]:
    return [row.topic for row in rows]


def publish(topic: str, *, priority: int = 0, delay: timedelta | None = None) -> None:
    outbox.publish(topic, "", priority=priority, delay=delay)


def long_due() -> None:
    """Let all that is due have been so for an hour: what has only just become due is news for five seconds."""
    OutboxMessage.objects.filter(due_at__isnull=False).update(due_at=in_future(timedelta(hours=-1)))


def test_all_are_found_once_in_their_order_however_many_a_page_has(lines: Lines) -> None:
    for number in range(5):
        publish(f"low {number}", priority=1)
        publish(f"high {number}", priority=9)
        publish(f"due {number}", delay=timedelta(0))
    long_due()
    publish("ordinary")
    publish("later", delay=timedelta(hours=1))

    found = [topic for _ in range(8) for topic in read(lines, 2)]
    assert [topic for topic in found if topic.startswith("due")] == [f"due {n}" for n in range(5)]
    urgent = [topic for topic in found if not topic.startswith("due")]
    assert urgent == [f"high {n}" for n in range(5)] + [f"low {n}" for n in range(5)]


def test_afterwards_only_what_is_new_is_found_and_at_once(lines: Lines) -> None:
    publish("stays", priority=5)
    read(lines)
    for topic, priority in [("new", 1), ("newer", 9)]:
        publish(topic, priority=priority)

    assert set(read(lines)) == {"new", "newer"}
    publish("newest", priority=3)
    assert read(lines) == ["newest"]
    publish("due", delay=timedelta(0))
    assert read(lines) == ["due"]


def test_now_and_then_all_is_looked_at_again(lines: Lines, passes: list[float]) -> None:
    publish("stays", priority=5)
    assert [read(lines), read(lines)] == [["stays"], []]
    passes.append(61)
    assert [read(lines), read(lines)] == [["stays"], []]


def test_a_walk_that_goes_on_and_on_begins_again_for_what_is_more_urgent(lines: Lines, passes: list[float]) -> None:
    for number in range(4):
        publish(f"low {number}", priority=1)
    assert read(lines, 2) == ["low 0", "low 1"]
    publish("high", priority=9)
    passes.append(6)
    assert read(lines, 2) == ["high", "low 0"]


def test_what_was_deleted_meanwhile_keeps_nobody_from_being_found(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        publish(f"due {number}", delay=timedelta(0))
    place_of = aside.Delayed.place_of

    def too_late(self: aside.Delayed, row: Outgoing, using: str) -> object:
        OutboxMessage.objects.filter(pk=row.id).delete()
        return place_of(self, row, using)

    monkeypatch.setattr(aside.Delayed, "place_of", too_late)
    found = [topic for _ in range(5) for topic in read(lines, 2)]
    assert {f"due {n}" for n in range(4)} == set(found)


@pytest.fixture
def reader(passes: list[float]) -> Reader:
    reader = Reader()
    reader._lines.is_apart = True
    return reader


def test_what_is_taken_back_is_found_again_at_once(reader: Reader) -> None:
    publish("due", delay=timedelta(0))
    rows = reader.read(Scope(), 10)
    assert topics(rows) == ["due"]
    assert reader.read(Scope(), 10) == []
    reader.take_back(rows)
    assert topics(reader.read(Scope(), 10)) == ["due"]


def test_what_is_let_go_is_found_at_once(reader: Reader) -> None:
    publish("paused", delay=timedelta(0))
    publish("other", delay=timedelta(0))
    long_due()
    paused = Scope(topics=frozenset(["paused"]))
    assert [topics(reader.read(paused, 10)) for _ in range(2)] == [["other"], []]
    assert topics(reader.read(Scope(), 10)) == ["paused"]


def test_they_are_read_apart_when_pages_take_long_and_with_them_when_they_do_not(passes: list[float]) -> None:
    publish("urgent", priority=1)
    publish("urgent too", priority=1)
    lines = Lines()
    lines.learn(9.0)
    assert not lines.is_apart  # once is nothing
    lines.learn(9.0)
    assert lines.is_apart
    read(lines, size=1)
    assert lines.is_apart  # not all has been seen
    read(lines)
    assert not lines.is_apart


def test_where_it_is_not_they_that_take_long_they_are_read_apart_once_and_not_soon_again(passes: list[float]) -> None:
    lines = Lines()
    for _ in range(2):
        lines.learn(99.0)
    assert lines.is_apart
    read(lines)
    assert not lines.is_apart
    for _ in range(5):
        lines.learn(99.0)
    assert not lines.is_apart
    passes.append(6)
    lines.learn(99.0)
    assert lines.is_apart


@pytest.mark.parametrize(("page", "is_apart"), [(5.0, False), (0.15, True)])
def test_they_are_with_the_pages_again_if_those_take_much_longer_than_they_do(
    passes: list[float], monkeypatch: pytest.MonkeyPatch, page: float, is_apart: bool
) -> None:
    for line in (aside.Delayed, aside.Urgent):
        monkeypatch.setattr(line, "end", lambda *_: passes.append(9.0))  # which no page asks for
        monkeypatch.setattr(line, "read", lambda *_: passes.append(0.05) or ([], False))
    lines = Lines()
    for _ in range(2):
        lines.learn(page)
    assert lines.is_apart
    read(lines)
    assert lines.is_apart is is_apart


def test_read_apart_the_order_of_keys_and_of_priorities_is_the_same(
    broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:

    def take_long(self: Lines, _took: float) -> None:
        self.is_apart, self._to_explain = True, 0.0  # and nothing is quick enough beside that

    monkeypatch.setattr(Lines, "learn", take_long)
    for number in range(12):
        outbox.publish("orders", f"mine {number}", key="mine", priority=number % 3)
        outbox.publish("orders", f"other {number}", key=f"other {number}", priority=(number + 1) % 3)
        outbox.publish("orders", f"due {number}", delay=timedelta(0))
    relay = Relay()
    while relay.run_once():
        pass
    bodies = [(record.body or b"").decode() for record in broker.sent]
    assert [body for body in bodies if body.startswith("mine")] == [f"mine {number}" for number in range(12)]
    assert len(bodies) == len(set(bodies)) == 36
    assert relay._reader._lines.is_apart
