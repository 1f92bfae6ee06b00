"""A page goes less far where it takes long, and all is seen nevertheless."""

import time
from typing import Any, cast

import pytest

from django_dlq.models.outbox_reading import ENDLESS, Page
from django_dlq.relaying.stride import FIRST, LEAST, Stride

pytestmark = pytest.mark.once

NEWEST = 10_000_000
PER_ID = 1e-6


class Table:
    """Ten million rows of which none may be sent."""

    def __init__(self) -> None:
        self.now = 0.0
        self.longest = 0.0
        self.asked = 0
        self.holds = False

    def page(self, after: int, until: int) -> Page:
        took = max(0, min(until, NEWEST) - after) * PER_ID
        self.now, self.longest = self.now + took, max(self.longest, took)
        if self.holds:
            return Page([], after, is_full=False)
        return Page([], after if until == ENDLESS else until, is_full=False)

    def newest(self, after: int) -> int:
        self.asked += 1
        return max(NEWEST, after)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    table = Table()
    monkeypatch.setattr(time, "monotonic", lambda: table.now)
    return table


def test_where_nothing_may_be_sent_the_walk_gets_on_in_short_steps(table: Table) -> None:
    stride, reading, place = Stride(), table, 0
    first: Any = reading
    assert stride.page(table.page, first, 0) == Page([], 0, is_full=False)
    table.longest = 0.0

    pages = 0
    is_full = True
    while is_full:
        page = stride.page(table.page, first, place)
        place, is_full, pages = page.last, page.is_full, pages + 1
    assert place == NEWEST
    assert table.longest <= FIRST * PER_ID
    assert pages < NEWEST / LEAST


def test_where_pages_are_quick_nobody_asks_for_the_end(table: Table) -> None:
    stride, reading = Stride(), table
    first: Any = reading
    stride.page(table.page, first, 0)
    for _ in range(20):
        stride.page(table.page, first, NEWEST)
    asked = table.asked
    stride.page(table.page, first, NEWEST)
    assert table.asked == asked > 0


def test_a_page_that_holds_have_emptied_is_read_again(table: Table) -> None:
    stride, reading = Stride(), table
    first: Any = reading
    stride.page(table.page, first, 0)
    table.holds = True

    assert stride.page(table.page, first, 5) == Page([], 5, is_full=False)


def test_many_rows_may_take_their_time(table: Table) -> None:
    stride, first, rows = Stride(), cast("Any", table), [cast("Any", None)] * 4000

    def page(after: int, until: int) -> Page:
        table.now += 0.12
        return Page(rows, after + len(rows), is_full=True)

    for place in range(0, 40_000, 4000):
        stride.page(page, first, place)
    assert table.asked == 0


def test_a_page_that_is_full_after_a_few_ids_is_not_made_shorter_however_busy_the_machine_is(table: Table) -> None:
    stride, first, rows = Stride(), cast("Any", table), [cast("Any", None)] * 100

    def page(after: int, until: int) -> Page:
        table.now += 5.0
        return Page(rows, after + LEAST, is_full=True)

    for place in range(0, 10 * LEAST, LEAST):
        stride.page(page, first, place)
    assert table.asked == 0
