"""What may be sent again is found, in order, and without going through all else."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_dlq.models.holds import Holds
from django_dlq.models.outbox_reading import ENDLESS, Page, Scope
from django_dlq.models.outgoing import ALONG, Outgoing
from django_dlq.models.resting import Resting
from django_dlq.models.things import Thing, things_of
from django_dlq.relaying import reader as module
from django_dlq.relaying.arrears import Arrears
from django_dlq.relaying.reader import Reader

pytestmark = pytest.mark.once

NOTHING: frozenset[Thing] = frozenset()
DOWN, SLOW = ("broker", "down"), ("topic", "slow")


def row(pk: int, *, topic: str = "t", key: str | None = None, broker: str = "up", lane: int = 0) -> Outgoing:
    values: dict[str, Any] = dict.fromkeys(Outgoing._fields)
    found = {"id": pk, "topic": topic, "key": key, "broker": broker, "lane": lane, "priority": 0, "part": ALONG}
    return Outgoing(**values | found)


@dataclass
class Outbox:
    """A table, and how much of it has been gone through."""

    rows: dict[int, Outgoing] = field(default_factory=dict)
    passed: int = 0

    def page(self, after: int, until: int, *, size: int, scope: Scope, only: frozenset[Thing], without: Any) -> Page:
        away, found = scope.in_the_way | without, []
        for pk in sorted(self.rows):
            if after < pk <= until and len(found) < size:
                self.passed += 1
                things = things_of(self.rows[pk])
                if not things & away and (not only or things & only):
                    found.append(self.rows[pk])
        is_full = len(found) == size
        end = found[-1].id if found else after
        return Page(found, end if is_full or until == ENDLESS else until, is_full)


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    return pretended(monkeypatch)


def pretended(monkeypatch: pytest.MonkeyPatch) -> Outbox:
    """Let readers read this one, at a time that stands still: so nothing is found only because all is gone through."""
    outbox = Outbox()

    class Reading:
        def __init__(
            self, scope: Scope, size: int, *, only: Any = NOTHING, without: frozenset[Thing] = NOTHING, **_: object
        ) -> None:
            self.scope, self.size, self.only, self.without = scope, size, only, without

        def page(self, after: int, until: int) -> Page:
            what = {"size": self.size, "scope": self.scope, "only": self.only, "without": self.without}
            return outbox.page(after, until, **what)  # type: ignore[arg-type]

        along = page

    monkeypatch.setattr(module, "Reading", Reading)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    return outbox


def ids(rows: Sequence[Outgoing]) -> list[int]:
    return [row.id for row in rows]


def test_a_broker_that_is_tried_again_and_again_costs_the_others_nothing(outbox: Outbox) -> None:
    reader, size = Reader(), 10
    outbox.rows = {pk: row(pk, broker="down") for pk in range(1, 2001)}
    up, closed = Scope(), Scope(closed=frozenset(["down"]))
    reader.take_back(reader.read(up, size))
    assert reader.read(closed, size) == []
    outbox.passed = 0

    for pk in range(3000, 3020):
        outbox.rows[pk] = row(pk)
        tried = reader.read(up, size)
        assert ids(tried) == list(range(1, 11))
        reader.take_back(tried)
        assert pk in ids(reader.read(closed, size))
        del outbox.rows[pk]
    assert outbox.passed < 20 * 2 * size + 2000  # the walk goes over the backlog once, when it goes on behind it


def test_while_a_long_backlog_is_caught_up_with_others_go_on(outbox: Outbox) -> None:
    reader, closed = Reader(), Scope(closed=frozenset(["down"]))
    outbox.rows = {pk: row(pk, broker="down") for pk in range(1, 100)} | {200: row(200)}
    assert ids(reader.read(closed, 10)) == [200]
    outbox.rows[201] = row(201)

    assert [ids(reader.read(Scope(), 10))[0] for _ in range(3)] == [1, 201, 11]


def test_what_is_taken_back_while_others_are_caught_up_with_is_next(outbox: Outbox) -> None:
    reader, closed = Reader(), Scope(closed=frozenset(["down"]))
    outbox.rows = {pk: row(pk, broker="down") for pk in range(1, 100)} | {200: row(200)}
    reader.read(closed, 10)
    reader.take_back(reader.read(Scope(), 10))

    assert ids(reader.read(Scope(), 10)) == list(range(1, 11))


def test_a_key_that_is_let_go_keeps_its_order(outbox: Outbox) -> None:
    reader, held = Reader(), Scope(holds=Holds(frozenset([("t", "k")])))
    outbox.rows = {pk: row(pk, key="k" if pk % 2 else "other") for pk in range(1, 21)}
    assert ids(reader.read(held, 100)) == list(range(2, 21, 2))
    outbox.rows[21] = row(21, key="k")

    found = [pk for _ in range(20) for pk in ids(reader.read(Scope(), 3))]
    assert found == list(range(1, 22, 2))


def test_what_two_things_kept_waits_for_both() -> None:
    arrears = Arrears()
    arrears.change(NOTHING, frozenset([DOWN]), 10)
    arrears.change(frozenset([DOWN]), frozenset([DOWN, SLOW]), 50)
    arrears.change(frozenset([DOWN, SLOW]), frozenset([SLOW]), 60)
    assert (arrears.things, arrears.position) == ({DOWN}, 10)
    arrears.found(60, is_all=True)
    arrears.change(frozenset([SLOW]), NOTHING, 60)

    assert (arrears.things, arrears.position) == ({SLOW}, 10)


def test_what_comes_in_the_way_while_it_is_looked_for_is_looked_for_from_there_on() -> None:
    arrears = Arrears()
    arrears.change(NOTHING, frozenset([DOWN]), 10)
    arrears.change(frozenset([DOWN]), NOTHING, 90)
    arrears.found(40, is_all=False)
    arrears.change(NOTHING, frozenset([DOWN, SLOW]), 95)
    assert arrears.things == NOTHING
    arrears.change(frozenset([DOWN, SLOW]), frozenset([DOWN]), 99)

    assert (arrears.things, arrears.position) == ({SLOW}, 40)


RESTING = [("a", "a", "1"), ("b", "a", "2"), ("a", "a", None), ("b", "b", "2")]
THINGS = {
    "resting": RESTING,
    "closed": ["a", "b"],
    "topics": ["a", "b"],
    "keys": [("a", "1"), ("b", "1")],
    "held": [("a", "1"), ("b", "2")],
}
ACTS = st.one_of(
    st.tuples(st.just("write"), st.tuples(*[st.sampled_from(pair) for pair in ("ab", "12", "ab")])),
    *[st.tuples(st.just(kind), st.sampled_from(which)) for kind, which in THINGS.items()],
    st.tuples(st.sampled_from(["send", "fail"]), st.integers(1, 5)),
)


def toggled(scope: Scope, kind: str, which: Any) -> Scope:
    if kind == "held":
        return replace(scope, holds=Holds(scope.holds.keys ^ {which}))
    if kind == "resting":
        return replace(scope, resting=Resting(keys=scope.resting.keys ^ {which}))
    return replace(scope, **{kind: getattr(scope, kind) ^ {which}})


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTS, max_size=60))
def test_whatever_comes_and_goes_all_is_sent_in_the_order_of_its_key_without_another_pass(acts: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        outbox, reader, scope, sent = pretended(patch), Reader(), Scope(), []
        for act, which in [*acts, ("end", None)]:
            if act == "end":
                scope = Scope()
            elif act == "write":
                topic, key, lane = which
                # Which broker it goes to is the key's, as it has to be where order matters.
                pk = len(outbox.rows) + len(sent) + 1
                outbox.rows[pk] = row(pk, topic=topic, key=key, broker=topic if key == "1" else lane, lane=3)
                continue
            elif act not in {"send", "fail"}:
                scope = toggled(scope, act, which)
                continue
            for _ in range(1 if which else 200):
                rows = reader.read(scope, which or 3)
                if act == "fail":
                    reader.take_back(rows)
                    continue
                sent += rows
                for one in rows:
                    assert not things_of(one) & scope.in_the_way
                    del outbox.rows[one.id]
                reader.release(ids(rows))
        assert not outbox.rows
        by_thread: dict[Any, list[int]] = {}
        for one in sent:
            by_thread.setdefault((one.thread, one.broker), []).append(one.id)
        assert all(found == sorted(found) for found in by_thread.values())
