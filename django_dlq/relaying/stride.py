"""How far a page goes along the outbox: as far as it takes, unless that takes long."""

import time
from collections.abc import Callable
from dataclasses import replace

from django_dlq.models.outbox_reading import ENDLESS, Page, Reading

LONG, VERY_LONG = 0.05, 0.5
"""Seconds for two pages in a row, or for one, after which the next ones go less far."""

FIRST, LEAST = 1_000_000, 50_000
"""Ids that a page goes over, when one has taken long."""

PER_ROW = 25e-6
"""Seconds that a row may take to arrive, on a slow machine that is busy. Only what a page takes beyond that is long."""


def beyond_its_rows(took: float, page: Page) -> float:
    """Return how many of the seconds that a page took went into something else than its rows."""
    return max(0.0, took - PER_ROW * len(page.rows))


class Stride:
    """The length of the next step, in ids.

    Where little may be sent of much, a page would go through all of it for a few rows, or for none, and so would each
    one after it. With an end it is known up to where all has been seen, and the walk gets on whatever it finds.
    """

    def __init__(self) -> None:
        self._length = ENDLESS
        self._took = 0.0

    def page(self, read: Callable[[int, int], Page], reading: Reading, after: int) -> Page:
        """Read the next page with `read`, from one id up to another."""
        began = time.monotonic()
        until, goes_on = self._end(reading, after)
        page = read(after, until)
        # What is full so soon would not be over sooner with an end: then it is the machine that is busy.
        is_near = page.is_full and page.last - after <= LEAST
        self._learn(0.0 if is_near else beyond_its_rows(time.monotonic() - began, page))
        return replace(page, is_full=True) if goes_on and page.last == until else page

    def _end(self, reading: Reading, after: int) -> tuple[int, bool]:
        if self._length == ENDLESS:
            return ENDLESS, False
        newest, until = reading.newest(after), after + self._length
        return min(newest, until), until < newest

    def _learn(self, took: float) -> None:
        # Anything is slow once on a machine that is busy.
        usual, self._took = took if took > VERY_LONG else min(took, self._took), took
        if usual > LONG:
            self._length = max(min(FIRST, self._length // 2), LEAST)
        elif took < LONG / 4:
            self._length = min(self._length * 8, ENDLESS)
