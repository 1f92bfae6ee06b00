"""Look for what is urgent or delayed: with every page, or, where that takes long, so that it does not.

What may not go now (a paused topic, a broker out of reach, other relays' lanes), and what has been sent while somebody
holds a transaction open, lies at the start of these indexes too, and would be gone through at each page. Then each
index is walked once, and from its start again only as often as that costs a small share of the time. In between only
what is new is looked for.
"""

import time
from typing import Any, Final

from django_dlq.models.asides import Aside, Delayed, Place, Urgent
from django_dlq.models.outbox_reading import Reading
from django_dlq.models.outgoing import Outgoing
from django_dlq.relaying.pace import Pace
from django_dlq.relaying.stride import LONG

REST: Final = (0.0, 300.0)
"""The least and the most seconds between two walks."""

AGAIN: Final = 5.0
"""Seconds after which a walk that still finds rows to send begins again: more urgent ones may have come."""

TOGETHER: Final = 5.0
"""The least seconds for which pages have them with them again, however long they take: it is not for what is aside."""


class Line:
    """The walk along one index. took: its seconds so far. is_over: whether all of it has been seen."""

    def __init__(self, aside: Aside) -> None:
        self.took = 0.0
        self.is_over = False
        self._aside = aside
        self._place: Place | None = None
        self._pace = Pace(*REST)
        self._began = 0.0
        self._known: Any = None

    def start_over(self) -> None:
        """Begin at the start with the next look."""
        self._place, self.is_over = None, False

    def read(self, reading: Reading, reached: int) -> list[Outgoing]:
        """Read on, or what is new behind what was seen. No news while it walks: each key keeps its order."""
        began = time.monotonic()
        if self.is_over and not self._pace.is_due(began):
            return self._news(reading, reached)
        if self.is_over or self._place is None or began - self._began > AGAIN:
            self.start_over()
            self._began, self.took = began, 0.0
            self._known = self._aside.end(reading, reached)
            began = time.monotonic()  # a page has not to ask for that
        rows, goes_on = self._aside.read(reading, self._place)
        if rows:
            self._place = self._aside.place_of(rows[-1], reading.using) or self._place
        now = time.monotonic()
        self.took += now - began
        if not goes_on:
            self.is_over = True
            self._pace.rest(now, self.took)
        return rows

    def _news(self, reading: Reading, reached: int) -> list[Outgoing]:
        end = self._aside.end(reading, reached)
        rows, goes_on = self._aside.news(reading, self._known)
        if not goes_on:
            self._known = end
        return rows


class Lines:
    """Both of them. is_apart: whether they are read by themselves, and not with the pages along the primary key."""

    def __init__(self) -> None:
        self.is_apart = False
        self._lines = [Line(Delayed()), Line(Urgent())]
        self._took = self._not_before = 0.0
        self._to_explain = LONG

    def start_over(self) -> None:
        """Look everywhere: rows that were seen may be sent again."""
        for line in self._lines:
            line.start_over()

    def learn(self, took: float) -> None:
        """Take note how long a page took that had them with it."""
        # Anything is slow once on a machine that is busy.
        usual, self._took = min(took, self._took), took
        if usual > LONG and time.monotonic() >= self._not_before:
            self.is_apart, self._took, self._to_explain = True, 0.0, usual
            self.start_over()

    def read(self, reading: Reading, reached: int) -> list[Outgoing]:
        """Read what is due in each. reached: up to which id the walk along the primary key has seen all."""
        rows = [row for line in self._lines for row in line.read(reading, reached)]
        if all(line.is_over for line in self._lines) and sum(line.took for line in self._lines) < self._to_explain / 2:
            # It is not for them, or not any more, that pages take long; perhaps for what is not committed yet, or
            # since the machine is busy: then all takes longer, and so no number of seconds would tell.
            self.is_apart, self._not_before = False, time.monotonic() + TOGETHER
        return rows
