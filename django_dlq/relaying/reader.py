"""Walk along the outbox, and hand each row out once."""

import time
from collections.abc import Collection, Iterable

from django_dlq.models import OutboxMessage
from django_dlq.models.outbox_reading import Reading, Scope
from django_dlq.models.outgoing import Outgoing, id_of, priority_of
from django_dlq.models.things import Thing
from django_dlq.relaying.arrears import Arrears
from django_dlq.relaying.aside import Lines
from django_dlq.relaying.order import in_sending_order
from django_dlq.relaying.pace import SHARE
from django_dlq.relaying.stride import Stride, beyond_its_rows
from django_dlq.relaying.walk import Walk

QUICK = 0.1

LONGEST_LOOK = 0.5
"""Seconds after which a relay goes on without rows, where there are none to be sent among many."""


class Reader:
    """The reading of one relay. One thread at a time may use it; keep_plans is what it is for `Reading`."""

    def __init__(self, *, keep_plans: bool = False) -> None:
        self._keep_plans = keep_plans
        self._scope, self._size = Scope(), 1
        self._made: Reading | None = None
        self._sought: Reading | None = None
        self._walk, self._arrears = Walk(), Arrears()
        self._lines = Lines()
        self._is_its_turn = False
        self._stride, self._its_stride = Stride(), Stride()
        self._taken: set[int] = set()
        self._again: list[Outgoing] = []
        self._next_elders = 0.0

    def read(self, scope: Scope, size: int) -> list[Outgoing]:
        """Return rows to send next, in the order to send them; they are not handed out again until released.

        Not promised: at most `size`, since urgent, delayed and earlier messages of urgent keys come on top.
        """
        self._prepare(scope, size)
        rows = self._next_rows()
        waiting: list[Outgoing] = []
        if any(map(priority_of, rows)):
            rows, waiting = self._with_elders(rows)
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
        """Hand these rows out again when they may be sent, and first what precedes them."""
        self.release(map(id_of, rows))
        self._again.extend(rows)

    def start_over(self) -> None:
        """Forget what was handed out, and begin at the beginning."""
        self._taken.clear()
        self._again.clear()
        self._arrears.forget()
        self._walk.start_over()
        self._lines.start_over()

    # What to read

    def _prepare(self, scope: Scope, size: int) -> None:
        if self._scope != scope:
            self._change(self._scope, scope)
        if self._again:
            in_the_way = scope.in_the_way
            for row in self._again:
                if not self._arrears.take_back(row, in_the_way):
                    self._walk.take_back(row.id - 1)
                    if row.is_aside:
                        self._lines.start_over()
            self._again.clear()
        self._scope, self._size = scope, size

    def _change(self, before: Scope, now: Scope) -> None:
        if before.holds.stamp != now.holds.stamp:
            # Of that many held keys nobody knows which have come and gone.
            self._arrears.forget()
            self._walk.start_over()
            self._lines.start_over()
            return
        was, is_now = before.in_the_way, now.in_the_way
        self._arrears.change(was, is_now, self._walk.position)
        if was - is_now:
            self._lines.start_over()

    @property
    def _reading(self) -> Reading:
        """All that may be sent, along the way without what is being caught up with."""
        wanted = self._scope, self._size, self._arrears.things
        if self._made is None or (self._made.scope, self._made.size, self._made.without) != wanted:
            self._made = self._read(without=self._arrears.things)
        return self._made

    @property
    def _looking(self) -> Reading:
        """What is being caught up with."""
        wanted = self._scope, self._size, self._arrears.things
        if self._sought is None or (self._sought.scope, self._sought.size, self._sought.only) != wanted:
            self._sought = self._read(only=self._arrears.things)
        return self._sought

    def _read(self, **part: frozenset[Thing]) -> Reading:
        return Reading(self._scope, self._size, using=OutboxMessage.objects.db, keep_plans=self._keep_plans, **part)

    def _next_rows(self) -> list[Outgoing]:
        """Read along the way, and what may be sent again in turn with it."""
        self._is_its_turn = bool(self._arrears.things) and not self._is_its_turn
        rows = self._catch_up() if self._is_its_turn else []
        if not rows:
            rows = self._go_on(self._reading)
        if not rows and not self._is_its_turn:
            rows = self._catch_up()
        return rows

    def _go_on(self, reading: Reading) -> list[Outgoing]:
        until = time.monotonic() + LONGEST_LOOK
        self._walk.choose_start()
        aside = self._lines.read(reading, self._walk.reached) if self._lines.is_apart else []
        read = reading.along if self._lines.is_apart else reading.page
        while True:
            began = time.monotonic()
            page = self._stride.page(read, reading, self._walk.position)
            took = time.monotonic() - began
            self._walk.go_on(page, took)
            if not self._lines.is_apart:
                self._lines.learn(beyond_its_rows(took, page))
            rows = self._not_taken([*page.rows, *aside] if aside else page.rows)
            # On old ground there may be pages that are all on their way.
            if rows or not page.is_full or time.monotonic() >= until:
                return rows

    def _catch_up(self) -> list[Outgoing]:
        until = time.monotonic() + LONGEST_LOOK
        while self._arrears.things:
            reading = self._looking
            page = self._its_stride.page(reading.along, reading, self._arrears.position)
            self._arrears.found(page.last, is_all=not page.is_full or page.last >= self._walk.reached)
            rows = self._not_taken(page.rows)
            if rows or time.monotonic() >= until:
                return rows
        return []

    def _not_taken(self, rows: list[Outgoing]) -> list[Outgoing]:
        ids = set(map(id_of, rows))
        if len(ids) == len(rows) and self._taken.isdisjoint(ids):
            return rows
        found: dict[int, Outgoing] = {}
        for row in rows:  # those along the way come first
            if row.id not in self._taken:
                found.setdefault(row.id, row)
        return list(found.values())

    def _with_elders(self, rows: list[Outgoing]) -> tuple[list[Outgoing], list[Outgoing]]:
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
        page = self._reading.elders(urgent)
        elders = page.rows
        took = time.monotonic() - began
        self._next_elders = began + took * SHARE if took > QUICK else 0.0
        # Perhaps there are more, so what these may precede has to wait.
        waiting = [row for row in urgent if not elders or row.id > elders[-1].id] if page.is_full else []
        others = _without(rows, [*elders, *waiting])
        return [*(row for row in elders if row.id not in self._taken), *others], waiting


def _without(rows: Iterable[Outgoing], others: Iterable[Outgoing]) -> list[Outgoing]:
    ids = {row.id for row in others}
    return [row for row in rows if row.id not in ids]
