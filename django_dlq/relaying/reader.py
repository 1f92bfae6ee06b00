"""Walk along the outbox, and hand each row out once.

Ids are drawn before transactions commit, so a row may appear behind the place that the walk has reached. It therefore
goes back again and again: a few seconds' worth all the time, and to the very beginning every second. Where much lies
that is dead or may not be sent, it goes less often, so that this costs a small share of the time; but it never rests
longer than SWEEP and FULL_PASS say.
"""

import time
from collections import deque
from collections.abc import Collection, Iterable

from django_dlq.models import OutboxMessage
from django_dlq.models.outbox_reading import Page, Reading, Scope
from django_dlq.models.outgoing import Outgoing, id_of, priority_of
from django_dlq.relaying.order import in_sending_order
from django_dlq.relaying.pace import SHARE, Pace

LATE = 5.0
"""What commits within so many seconds after it has drawn its id is found by the next sweep."""

SWEEP, FULL_PASS = (0.005, 3.0), (1.0, 300.0)
"""The least and the most seconds of rest after a look at what was passed by lately, and at all there is."""

QUICK = 0.1


class Reader:
    """The walk of one relay. One thread at a time may use it."""

    def __init__(self) -> None:
        self._reading: Reading | None = None
        self._taken: set[int] = set()
        # Where the walk stands, and how far it has ever been: behind that it goes over old ground.
        self._position = self._reached = 0
        self._trail: deque[tuple[float, int]] = deque()
        self._sweeping, self._passing_all = Pace(*SWEEP), Pace(*FULL_PASS)
        # Which of the two is under way, and how long its pages have taken.
        self._going_back: Pace | None = self._passing_all
        self._took = 0.0
        self._went_back_at = 0.0
        self._next_elders = 0.0

    def read(self, scope: Scope, size: int) -> list[Outgoing]:
        """Return rows to send next, in the order to send them; they are not handed out again until released.

        Not promised: at most `size`, since urgent, delayed and earlier messages of urgent keys come on top.
        """
        reading = self._prepare(scope, size)
        self._choose_start()
        rows, is_full = self._next_page(reading)
        while is_full and not rows:  # on old ground there may be pages that are all on their way
            rows, is_full = self._next_page(reading)
        waiting: list[Outgoing] = []
        if any(map(priority_of, rows)):
            rows, waiting = self._with_elders(reading, rows)
        self._taken.update(map(id_of, rows))
        return in_sending_order(rows, waiting)

    def release(self, ids: Iterable[int]) -> None:
        """Take note that rows have left the outbox, or may be handed out again.

        Not while a page is being read: it might have begun to be read before they left.
        """
        self._taken.difference_update(ids)

    def keep(self, ids: Iterable[int]) -> None:
        """Take note that rows were sent that were not handed out here."""
        self._taken.update(ids)

    def take_back(self, rows: Collection[Outgoing]) -> None:
        """Hand these rows out again, and first what precedes them."""
        self.release(row.id for row in rows)
        self._position = min([self._position, *(row.id - 1 for row in rows)])

    def start_over(self) -> None:
        """Forget what was handed out, and begin at the beginning."""
        self._taken.clear()
        self._go_back(0, self._passing_all)

    def _prepare(self, scope: Scope, size: int) -> Reading:
        now = self._reading
        if now is None or now.scope != scope or now.size != size:
            if now is None or now.scope != scope:
                # What lay outside the old scope has been passed by.
                self._go_back(0, self._passing_all)
            now = self._reading = Reading(scope, size, using=OutboxMessage.objects.db)
        return now

    def _next_page(self, reading: Reading) -> tuple[list[Outgoing], bool]:
        began = time.monotonic()
        page = reading.page(self._position)
        self._took += time.monotonic() - began
        self._walk_on(page)
        return self._not_taken(page), page.is_full

    def _choose_start(self) -> None:
        """At the end of the way, go back if it is time."""
        if self._position < self._reached:
            return
        now = time.monotonic()
        if self._passing_all.is_due(now):
            self._go_back(0, self._passing_all)
        elif self._sweeping.is_due(now):
            self._go_back(self._trail[0][1] if self._trail else 0, self._sweeping)

    def _go_back(self, position: int, pace: Pace) -> None:
        self._position, self._going_back, self._took = position, pace, 0.0
        self._went_back_at = time.monotonic()

    def _walk_on(self, page: Page) -> None:
        self._position = page.last if page.is_full else max(page.last, self._reached)
        if self._position < self._reached:
            return
        now = time.monotonic()
        self._reached = self._position
        # What is read on new ground puts nothing off: while there is much to send, there is always some of that.
        if self._going_back is not None:
            self._going_back.rest(now, self._took)
            self._going_back = None
        self._leave_trail(now)

    def _leave_trail(self, now: float) -> None:
        if not self._trail or now - self._trail[-1][0] >= LATE / 10:
            self._trail.append((now, self._reached))
        # The first entry is the youngest that is old enough: what the last look could not see has committed since.
        while len(self._trail) > 1 and self._went_back_at - self._trail[1][0] >= LATE:
            self._trail.popleft()

    def _not_taken(self, page: Page) -> list[Outgoing]:
        ids = set(map(id_of, page.rows))
        if len(ids) == len(page.rows) and self._taken.isdisjoint(ids):
            return page.rows
        found: dict[int, Outgoing] = {}
        for row in page.rows:  # those along the way come first
            if row.id not in self._taken:
                found.setdefault(row.id, row)
        return list(found.values())

    def _with_elders(self, reading: Reading, rows: list[Outgoing]) -> tuple[list[Outgoing], list[Outgoing]]:
        """Add the earlier messages of urgent keys; return also which urgent messages have to wait.

        No index finds them, so in a large backlog that is done only now and then; until then the urgent messages with a
        key wait.
        """
        urgent = [row for row in rows if row.priority and row.key is not None and row.is_aside]
        if not urgent:
            return rows, []
        began = time.monotonic()
        if began < self._next_elders:
            return _without(rows, urgent), []
        elders = reading.elders(urgent)
        took = time.monotonic() - began
        self._next_elders = began + took * SHARE if took > QUICK else 0.0
        waiting: list[Outgoing] = []
        if len(elders) >= reading.size:
            # Perhaps there are more, so what these precede has to wait.
            keys = {row.thread for row in elders}
            waiting = [row for row in urgent if row.thread in keys and row.id > elders[-1].id]
        others = _without(rows, [*elders, *waiting])
        return [*(row for row in elders if row.id not in self._taken), *others], waiting


def _without(rows: Iterable[Outgoing], others: Iterable[Outgoing]) -> list[Outgoing]:
    ids = {row.id for row in others}
    return [row for row in rows if row.id not in ids]
