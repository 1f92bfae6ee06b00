"""Where a relay is on its way along the primary key of the outbox.

Ids are drawn before transactions commit, so a row may appear behind the place that the walk has reached. It therefore
goes back again and again: a few seconds' worth all the time, and to the very beginning every second. Where much lies
that is dead or may not be sent, it goes less often, so that this costs a small share of the time; but it never rests
longer than SWEEP and FULL_PASS say.
"""

import time
from collections import deque

from django_dlq.models.outbox_reading import Page
from django_dlq.relaying.pace import Pace

LATE = 5.0
"""What commits within so many seconds after it has drawn its id is found by the next sweep."""

SWEEP, FULL_PASS = (0.005, 3.0), (1.0, 300.0)
"""The least and the most seconds of rest after a look at what was passed by lately, and at all there is."""


class Walk:
    """A walk. position: where it stands. reached: how far it has ever been; behind that it goes over old ground."""

    def __init__(self) -> None:
        self.position = self.reached = 0
        self._trail: deque[tuple[float, int]] = deque()
        self._sweeping, self._passing_all = Pace(*SWEEP), Pace(*FULL_PASS)
        # Which of the two is under way, and how long its pages have taken.
        self._going_back: Pace | None = self._passing_all
        self._took = 0.0
        self._went_back_at = 0.0

    def start_over(self) -> None:
        """Begin at the beginning."""
        self._go_back(0, self._passing_all)

    def take_back(self, last: int) -> None:
        """Read again what follows this id."""
        self.position = min(self.position, last)

    def choose_start(self) -> None:
        """At the end of the way, go back if it is time."""
        if self.position < self.reached:
            return
        now = time.monotonic()
        if self._passing_all.is_due(now):
            self._go_back(0, self._passing_all)
        elif self._sweeping.is_due(now):
            self._go_back(self._trail[0][1] if self._trail else 0, self._sweeping)

    def go_on(self, page: Page, took: float) -> None:
        """Stand where this page ends, which was read in so many seconds."""
        self._took += took
        self.position = page.last if page.is_full else max(page.last, self.reached)
        if self.position < self.reached:
            return
        now = time.monotonic()
        self.reached = self.position
        # What is read on new ground puts nothing off: while there is much to send, there is always some of that.
        if self._going_back is not None:
            self._going_back.rest(now, self._took)
            self._going_back = None
        self._leave_trail(now)

    def _go_back(self, position: int, pace: Pace) -> None:
        self.position, self._going_back, self._took = position, pace, 0.0
        self._went_back_at = time.monotonic()

    def _leave_trail(self, now: float) -> None:
        if not self._trail or now - self._trail[-1][0] >= LATE / 10:
            self._trail.append((now, self.reached))
        # The first entry is the youngest that is old enough: what the last look could not see has committed since.
        while len(self._trail) > 1 and self._went_back_at - self._trail[1][0] >= LATE:
            self._trail.popleft()
