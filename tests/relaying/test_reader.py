"""How soon the walk along the outbox finds what commits behind it, and what that costs."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from django_dlq.models.outbox_reading import ENDLESS, Page, Scope
from django_dlq.models.outgoing import ALONG, Outgoing
from django_dlq.models.things import Thing
from django_dlq.relaying import reader as module
from django_dlq.relaying.reader import Reader

pytestmark = pytest.mark.once

STEP = 0.05
"""Seconds from one batch to the next. With each comes one message."""

PASSING = STEP / 100
"""Seconds to pass by a message that was sent: a hundredth of what sending it takes."""

Ids = list[int]


class Outbox:
    """An outbox that is never empty for long, on a clock of its own.

    page_takes: seconds for each page. entry_takes: seconds for each id that a page passes over, sent or not: while
    somebody holds a transaction open, the index keeps them all.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.page_takes, self.entry_takes = 0.002, 0.0
        self.rows: set[int] = set()
        self.next_id = 1
        self.reader = Reader()
        self.spent = 0.0

    def page(self, after: int, until: int, size: int) -> Page:
        """Return a page, as the database would."""
        found = sorted(pk for pk in self.rows if after < pk <= until)[:size]
        last = found[-1] if len(found) == size else min(until, self.next_id)
        took = self.page_takes + max(0, last - after) * self.entry_takes
        self.spent += took
        self.now += took
        end = until if until < ENDLESS else found[-1] if found else after
        return Page([row(pk) for pk in found], found[-1] if len(found) == size else end, len(found) == size)

    def send(self) -> Ids:
        """Write a message, read what there is, and have it sent; return its ids."""
        self.rows.add(self.draw())
        ids = [row.id for row in self.reader.read(Scope(), 100)]
        self.rows.difference_update(ids)
        self.reader.release(ids)
        self.now += STEP
        return ids

    def draw(self) -> int:
        """Draw an id, as a transaction does long before it commits."""
        self.next_id += 1
        return self.next_id - 1

    def keep_sending(self, seconds: float) -> None:
        """Let some time pass."""
        until = self.now + seconds
        while self.now < until:
            self.send()

    def seconds_until_sent(self, late: int) -> float:
        """Commit a row, and tell after how long it is sent."""
        self.rows.add(late)
        committed = self.now
        while late not in self.send():
            assert self.now < committed + 1000
        return self.now - committed


@pytest.fixture
def outbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outbox]:
    outbox = Outbox()

    class Reading:
        def __init__(self, scope: Scope, size: int, *, without: frozenset[Thing], **_: object) -> None:
            self.scope, self.size, self.without = scope, size, without

        def page(self, after: int, until: int) -> Page:
            return outbox.page(after, until, self.size)

        def newest(self, after: int) -> int:
            return max([after, *outbox.rows])

    monkeypatch.setattr(module, "Reading", Reading)
    monkeypatch.setattr(module.Lines, "learn", lambda lines, took: None)  # this is about the primary key
    monkeypatch.setattr(time, "monotonic", lambda: outbox.now)
    return outbox


def row(pk: int) -> Outgoing:
    values: dict[str, Any] = dict.fromkeys(Outgoing._fields)
    return Outgoing(**values | {"id": pk, "priority": 0, "part": ALONG})


def test_what_commits_late_is_sent_at_once_however_many_new_messages_come(outbox: Outbox) -> None:
    outbox.keep_sending(20)
    for _ in range(10):
        late = outbox.draw()
        outbox.keep_sending(3)
        assert outbox.seconds_until_sent(late) < 1


def test_a_page_that_was_slow_once_puts_nothing_off(outbox: Outbox) -> None:
    outbox.keep_sending(20)
    for _ in range(10):
        late = outbox.draw()
        outbox.keep_sending(3)
        outbox.page_takes = 0.3
        outbox.send()
        outbox.page_takes = 0.002
        assert outbox.seconds_until_sent(late) < 1


def test_a_full_page_of_a_busy_machine_is_no_reason_to_look_for_urgent_messages_apart(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[float] = []
    monkeypatch.setattr(module.Lines, "learn", lambda lines, took: learned.append(took))
    outbox.rows = {outbox.draw() for _ in range(4000)}
    outbox.page_takes = 0.12
    Reader().read(Scope(), 4000)
    outbox.rows.clear()
    Reader().read(Scope(), 4000)
    assert learned == pytest.approx([0.02, 0.12])


@pytest.mark.parametrize("page_takes", [0.002, 0.2])
def test_what_was_open_for_a_minute_is_sent_within_seconds_while_the_outbox_is_short(
    outbox: Outbox, page_takes: float
) -> None:
    outbox.page_takes = page_takes
    for _ in range(5):
        late = outbox.draw()
        outbox.keep_sending(60)
        assert outbox.seconds_until_sent(late) < 50 * page_takes + 2


def test_however_much_is_dead_what_commits_a_little_late_is_sent_within_seconds(outbox: Outbox) -> None:
    outbox.entry_takes = PASSING
    outbox.keep_sending(60)
    for tenths in range(49):
        late = outbox.draw()
        outbox.keep_sending(tenths / 10)
        assert outbox.seconds_until_sent(late) < 5


def test_however_much_is_dead_what_was_open_for_long_is_sent_within_minutes(outbox: Outbox) -> None:
    outbox.entry_takes = 20 * PASSING
    outbox.keep_sending(60)
    for _ in range(3):
        late = outbox.draw()
        outbox.keep_sending(30)
        assert outbox.seconds_until_sent(late) < 360


@pytest.mark.parametrize("minutes", [2, 20])
def test_going_back_costs_a_small_share_of_the_time_however_much_is_dead(outbox: Outbox, minutes: int) -> None:
    outbox.page_takes, outbox.entry_takes = 0.0, PASSING
    outbox.keep_sending(20)
    began, outbox.spent = outbox.now, 0.0
    outbox.keep_sending(60 * minutes)

    assert outbox.spent < 0.08 * (outbox.now - began)


def test_an_idle_relay_looks_everywhere_each_second(outbox: Outbox) -> None:
    outbox.keep_sending(20)
    looks = [outbox.reader.read(Scope(), 100) for _ in range(3)]
    late = 3
    assert looks == [[]] * 3
    outbox.rows.add(late)
    outbox.now += 1.1

    assert [row.id for row in outbox.reader.read(Scope(), 100)] == [late]
