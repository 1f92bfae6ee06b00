"""Read the outbox page by page along its primary key."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from django.db import connections
from django.db.models import Q, QuerySet

from django_dlq.message import LANES
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.compiled import AFTER, UNTIL, Compiled
from django_dlq.models.holds import NOTHING_HELD, Holds, of_keys
from django_dlq.models.large_messages import sizes, whole
from django_dlq.models.outbox_message import OutboxMessage, OutboxQuerySet
from django_dlq.models.outgoing import ALONG, ASIDE, COLUMNS, Outgoing, are_whole, expressions, in_part, part_of
from django_dlq.models.resting import NOTHING_RESTS, Resting
from django_dlq.models.things import Thing, of_things

PAGE_BYTES = 16_000_000
"""The most that the bodies of one page may take in memory, and headers and keys once more, unless of a single one."""

SIZES_AT_ONCE: Final = 25
"""Of so many rows the sizes are asked for; to tell that of large headers takes the database milliseconds."""

_ANY_SIZE = 2_000_000_000
"""Bytes; no body is larger, and no headers."""

ENDLESS: Final = 2**63 - 1
"""The highest id that there can be."""

DELAYED: Final = Q(due_at__isnull=False, due_at__lte=DatabaseNow())
URGENT: Final = Q(due_at__isnull=True, priority__gt=0)
BY_MOMENT, BY_URGENCY = ("due_at", "id"), ("-priority", "id")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows a relay may send now.

    lanes: those that it has, or None for all of them. closed: brokers that are out of reach. topics, keys, brokers:
    what is paused. holds: what waits for somebody to act on a dead letter. resting: what its broker does not take,
    though it is well.
    """

    lanes: frozenset[int] | None = None
    closed: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    keys: frozenset[tuple[str, str]] = frozenset()
    brokers: frozenset[str] = frozenset()
    holds: Holds = NOTHING_HELD
    resting: Resting = NOTHING_RESTS

    def condition(self) -> Q:
        """Return what is true of these rows; nothing if that is all of them."""
        condition = Q()
        if self.lanes is not None:
            condition &= Q(lane__in=sorted(self.lanes))
        if shut := self.closed | self.brokers:
            condition &= ~Q(broker__in=sorted(shut))
        if self.topics:
            condition &= ~Q(topic__in=sorted(self.topics))
        if self.keys:
            condition &= ~of_keys(self.keys)
        return condition & self.holds.lets_go() & self.resting.lets_go()

    @property
    def in_the_way(self) -> frozenset[Thing]:
        """Return each thing whose messages are not among these rows, but for held keys that are too many to name."""
        lanes = frozenset[int]() if self.lanes is None else frozenset(range(LANES)) - self.lanes
        by_kind: dict[str, Collection[Any]] = {
            "lane": lanes,
            "broker": self.closed | self.brokers,
            "topic": self.topics,
            "key": self.keys,
            "held": self.holds.keys,
            "rests": self.resting.topics,
            "resting": self.resting.keys,
        }
        return frozenset((kind, which) for kind, found in by_kind.items() for which in found)


@dataclass(frozen=True, slots=True)
class Page:
    """What to send next. `last`: up to which id all has been seen. `is_full`: whether there is more behind it."""

    rows: list[Outgoing]
    last: int
    is_full: bool


class Reading:
    """The statements for one scope and one size of page. Used by one thread.

    only, without: along the way, only the rows that one of these things might keep, or none of those. keep_plans:
    whether the server may keep the plans of what is said again and again, on a connection that nobody else uses.
    """

    def __init__(
        self,
        scope: Scope,
        size: int,
        *,
        using: str,
        only: frozenset[Thing] = frozenset(),
        without: frozenset[Thing] = frozenset(),
        keep_plans: bool = False,
    ) -> None:
        self.scope = scope
        self.size = size
        self.only, self.without = only, without
        self.using = using
        self._keep_plans = keep_plans
        self._largest = PAGE_BYTES // size
        self._rows: OutboxQuerySet = OutboxMessage.objects.filter(scope.condition())
        among = of_things(only) if only else Q()
        self._along = self._rows.filter(among & ~of_things(without) if without else among)

    def page(self, after: int, until: int = ENDLESS) -> Page:
        """Read up to one page of the rows after this id and up to that one.

        With them, wherever they are, come up to a page of the urgent rows and of the delayed ones whose time has come;
        so a row may be there twice. All is whole of each, unless that would take more than PAGE_BYTES together: then
        the page ends before. There is nothing in it if other letters hold their keys by now than the scope says: what
        waited for one must not be overtaken by what came after it.
        """
        return self._page(self._with_aside, after, until)

    def along(self, after: int, until: int = ENDLESS) -> Page:
        """Read a page without what is urgent or delayed elsewhere."""
        return self._page(self._alone, after, until)

    def aside(self, condition: Q, order: Sequence[str]) -> Page:
        """Read up to one page of the rows with this condition, in this order, wherever they are.

        It is full as well, and empty, if other letters hold their keys by now.
        """
        rows = self._columns(self._rows.filter(condition).order_by(*order), ASIDE)
        read = Compiled([rows], using=self.using).run(0, 0)
        if not self.scope.holds.is_current:
            return Page([], last=0, is_full=True)
        return self._with_bodies(Page(read, 0, len(read) == self.size), 0)

    def newest(self, after: int) -> int:
        """Return the highest id there is, or this one if there is none behind it."""
        # Not as max(id): behind an outbox that was just empty PostgreSQL expects one row, and goes through all of them.
        for (newest,) in self._newest.rows(after, ENDLESS):
            return int(newest)
        return after

    def _page(self, compiled: Compiled, after: int, until: int) -> Page:
        read = compiled.run(after, until)
        if not self.scope.holds.is_current:
            return Page([], last=after, is_full=False)
        along = [row for row in read if not row.is_aside] if any(map(part_of, read)) else read
        is_full = len(along) == self.size
        last = along[-1].id if along else after
        page = Page(read, last if is_full or until == ENDLESS else until, is_full)
        if are_whole(read):
            return page
        return self._with_bodies(page, after)

    @cached_property
    def _alone(self) -> Compiled:
        return Compiled([self._way], using=self.using, keep_plan=self._keep_plans)

    @cached_property
    def _with_aside(self) -> Compiled:
        delayed, urgent = self._rows.filter(DELAYED), self._rows.filter(URGENT)
        return Compiled(
            [
                # The oldest are in every page, so nothing urgent keeps them waiting for ever.
                self._way,
                self._columns(delayed.order_by(*BY_MOMENT), ASIDE),
                self._columns(urgent.order_by(*BY_URGENCY), ASIDE),
            ],
            using=self.using,
            keep_plan=self._keep_plans,
        )

    @cached_property
    def _newest(self) -> Compiled:
        rows = OutboxMessage.objects.using(self.using).filter(id__gt=AFTER).order_by("-id")
        return Compiled([rows.values_list("id")[:1]], using=self.using, keep_plan=self._keep_plans)

    @property
    def _way(self) -> "QuerySet[OutboxMessage, Any]":
        rows = self._along.filter(due_at__isnull=True, id__gt=AFTER, id__lte=UNTIL)
        return self._columns(rows.order_by("id"), ALONG)

    def elders(self, urgent: Sequence[Outgoing]) -> Page:
        """Read due rows of the same keys that were published before one of these with a lower priority, by their ids.

        There may be a few more, of these keys too, that were published a little later. It is full if there may be more
        behind the last.
        """
        rows = self._columns(self._rows.due().elders_of(urgent).order_by("id"), ASIDE)
        elders = list(map(Outgoing.of, rows.using(self.using)))
        return self._with_bodies(Page(elders, 0, len(elders) == self.size), 0)

    def _columns(self, rows: OutboxQuerySet, part: int | None) -> "QuerySet[OutboxMessage, Any]":
        vendor = connections[self.using].vendor
        computed = expressions(self._largest, vendor=vendor) | {"part": in_part(part, vendor=vendor)}
        return rows.annotate(**computed).values_list(*COLUMNS)[: self.size]

    def _with_bodies(self, page: Page, after: int) -> Page:
        kept: list[Outgoing] = []
        room, last, is_full = PAGE_BYTES, page.last, page.is_full
        takes: dict[int, int] = {}
        for place, row in enumerate(page.rows):
            if row.headers_text is None and row.id not in takes:
                takes |= sizes(page.rows[place : place + SIZES_AT_ONCE], using=self.using)
            room -= takes.get(row.id, row.size or 0) if row.is_partial else 0
            if room < 0 and kept:
                # What is aside is found again wherever the reading stands; what lies along the way must not be passed.
                last, is_full = max((row.id for row in kept if not row.is_aside), default=after), True
                break
            kept.append(row)
        return Page(whole(kept, using=self.using), last, is_full)


def read_again(scope: Scope, ids: Collection[int]) -> list[Outgoing]:
    """Read these rows whole, those of them that may be sent now, in the order of their ids."""
    rows: OutboxQuerySet = OutboxMessage.objects.filter(scope.condition(), pk__in=ids)
    vendor = connections[rows.db].vendor
    computed = expressions(_ANY_SIZE, vendor=vendor) | {"part": in_part(ALONG, vendor=vendor)}
    return [Outgoing._make(row) for row in rows.due().annotate(**computed).values_list(*COLUMNS).order_by("id")]
