"""How much waits in the outbox and since when, without ever reading all of it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db import connections
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce

from django_dlq.figures import Share
from django_dlq.models.clock import DatabaseNow, seconds_since
from django_dlq.models.outbox_message import OutboxMessage
from django_dlq.models.quick_read import quick_read

MOST_ROWS: Final = 100_000
"""Due rows that are counted one by one: along the primary key, where neighbours lie together."""

MOST_SCATTERED: Final = 10_000
"""Delayed rows that are counted one by one, by their moment: they lie anywhere, and each is a page to fetch."""

SAMPLED_PAGES: Final = 1_000
"""Pages that PostgreSQL draws by lot where there is more."""


class Place(NamedTuple):
    """What messages are counted by."""

    lane: int
    topic: str
    broker: str


@dataclass(slots=True)
class Pile:
    """Some messages, and since when the oldest of them could have been sent."""

    count: float = 0
    since: datetime | None = None

    def add(self, count: float, since: datetime | None) -> None:
        """Put more messages on it."""
        self.count += count
        self.since = earliest((self.since, since))


@dataclass(slots=True)
class Counted:
    """Messages by place. `is_exact`: whether each was counted, and none guessed."""

    is_exact: bool = True
    piles: dict[Place, Pile] = field(default_factory=dict)
    ids: tuple[int, int] | None = None
    """The lowest and the highest id of those that were counted one by one."""

    def add(self, place: Place, count: float, since: datetime | None) -> None:
        """Put messages on the pile of their place."""
        self.piles.setdefault(place, Pile()).add(count, since)

    def total(self) -> float:
        """Return how many there are in all places."""
        return sum(pile.count for pile in self.piles.values())

    def __iter__(self) -> Iterator[tuple[Place, Pile]]:
        """Go through the places."""
        return iter(self.piles.items())


class Backlog(NamedTuple):
    """What waits: messages that could be sent now, and those whose time has not come."""

    due: Counted
    delayed: Counted

    def shares(self, part: Callable[[Place], Any], now: datetime) -> dict[Any, Share]:
        """Sum the piles up by a part of their place."""
        sums: dict[Any, tuple[Pile, Pile]] = {}
        for which, counted in enumerate(self):
            for place, pile in counted:
                sums.setdefault(part(place), (Pile(), Pile()))[which].add(pile.count, pile.since)
        return {
            name: Share(
                due=round(due.count), delayed=round(delayed.count), oldest_due_seconds=seconds_since(due.since, now)
            )
            for name, (due, delayed) in sorted(sums.items())
        }


def backlog() -> Backlog:
    """Count what waits: exactly up to MOST_ROWS due and MOST_SCATTERED delayed messages, else as well as samples tell.

    Not promised: one moment for all. The parts are read one after the other.
    """
    rows = OutboxMessage.objects.get_queryset()
    at_once = _at_once(rows.filter(due_at=None))
    overdue = _counted(rows.filter(due_at__lte=DatabaseNow()).order_by("due_at"), "due_at", MOST_SCATTERED)
    delayed = _counted(rows.filter(due_at__gt=DatabaseNow()).order_by("due_at"), "due_at", MOST_SCATTERED)
    due = _sum(at_once, overdue)
    if connections[rows.db].vendor == "postgresql" and not (due.is_exact and delayed.is_exact):
        sampled = _sampled(rows.db)
        return Backlog(_at_least(due, sampled.due), _at_least(delayed, sampled.delayed))
    return Backlog(due, delayed)


def first_due() -> Sequence[datetime | None] | None:
    """Return since when the first message by its id that is due could have been sent; nothing where none is due.

    None if it takes longer than a moment to find out, as when somebody has locked the table.
    """
    rows = OutboxMessage.objects.due().order_by("id")
    sql, parameters = rows.values(since=Coalesce("due_at", "created_at"))[:1].query.get_compiler(rows.db).as_sql()
    read = quick_read(sql, parameters, using=rows.db)
    return None if read is None else [_moment(since, rows.db) for (since,) in read]


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """Return the first moment of those that there are."""
    return min((moment for moment in moments if moment is not None), default=None)


def _at_once(rows: "QuerySet[OutboxMessage]") -> Counted:
    """Count the messages that wait for no moment."""
    counted = _counted(rows.order_by("id"), "created_at", MOST_ROWS)
    if not counted.is_exact and counted.ids is None:
        return _newest(rows)
    if not counted.is_exact and connections[rows.db].vendor != "postgresql":
        return _with_the_other_end(counted, rows)
    return counted


def _counted(rows: "QuerySet[OutboxMessage]", since: str, most: int) -> Counted:
    """Count the first rows in their order. If there are more, or it takes too long, the result is not exact."""
    compiler = rows.values("id", "lane", "topic", "broker", since=F(since))[: most + 1].query.get_compiler(rows.db)
    sql, parameters = compiler.as_sql()
    if connections[rows.db].vendor == "mysql":
        # Else it reads the whole table for the delayed ones, and looks up the others one by one.
        table = compiler.quote_name_unless_alias(OutboxMessage._meta.db_table)
        index = "dlq_outbox_delayed" if since == "due_at" else "PRIMARY"
        sql = sql.replace(f"FROM {table}", f"FROM {table} FORCE INDEX ({index})", 1)
    columns = "lane, topic, broker, COUNT(*), MIN(since), MIN(id), MAX(id)"
    sql = f"SELECT {columns} FROM ({sql}) part GROUP BY lane, topic, broker"  # noqa: S608
    read = quick_read(sql, parameters, using=rows.db)
    counted = Counted()
    for lane, topic, broker, count, moment, _, _ in read or ():
        counted.add(Place(lane, topic, broker), count, _moment(moment, rows.db))
    counted.is_exact = read is not None and counted.total() <= most
    if read:
        counted.ids = min(row[-2] for row in read), max(row[-1] for row in read)
    return counted


def _newest(rows: "QuerySet[OutboxMessage]") -> Counted:
    """Count only the last ids, of which there are not many, dead or alive.

    While somebody holds a transaction open, what has been sent since stays in the indexes, and every reading along them
    walks over it; what waits is then behind it.
    """
    counted = _counted(rows.filter(id__gt=_last_id(rows.db) - MOST_ROWS).order_by("id"), "created_at", MOST_ROWS)
    counted.is_exact = False
    return counted


def _with_the_other_end(low: Counted, rows: "QuerySet[OutboxMessage]") -> Counted:
    """Take what lies between the first and the last rows to be as dense as the last ones are, and mixed like them."""
    assert low.ids
    _, after = low.ids
    high = _counted(rows.filter(id__gt=after).order_by("-id"), "created_at", MOST_SCATTERED)
    factor = 1.0
    if high.ids and not high.is_exact:
        first, last = high.ids
        factor = (last - after) / (last - first + 1)
    return _sum(low, _times(high, factor), is_exact=high.is_exact)


def _sampled(using: str) -> Backlog:
    """Draw some pages of the table by lot, which neither old statistics nor dead entries of an index mislead."""
    connection = connections[using]
    table = connection.ops.quote_name(OutboxMessage._meta.db_table)
    due, delayed = Counted(is_exact=False), Counted(is_exact=False)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size(%s) / current_setting('block_size')::integer", [table])
        share = min(1.0, SAMPLED_PAGES / max(1, cursor.fetchone()[0]))
        cursor.execute(
            "SELECT lane, topic, broker, due_at > STATEMENT_TIMESTAMP(), COUNT(*), MIN(COALESCE(due_at, created_at)) "  # noqa: S608
            f"FROM {table} TABLESAMPLE SYSTEM (%s) GROUP BY 1, 2, 3, 4",
            [share * 100],
        )
        for lane, topic, broker, is_delayed, count, since in cursor.fetchall():
            (delayed if is_delayed else due).add(Place(lane, topic, broker), count / share, since)
    return Backlog(due, delayed)


def _last_id(using: str) -> int:
    """Return the last id that a row of the outbox was given, whether or not the row is still there."""
    table = OutboxMessage._meta.db_table
    sql = "SELECT auto_increment FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s"
    if connections[using].vendor == "postgresql":
        sql, table = "SELECT pg_sequence_last_value(pg_get_serial_sequence(%s, 'id'))", f'"{table}"'
    with connections[using].cursor() as cursor:
        cursor.execute(sql, [table])
        return cursor.fetchone()[0] or 0


def _sum(one: Counted, other: Counted, *, is_exact: bool | None = None) -> Counted:
    both = Counted(is_exact=one.is_exact and other.is_exact if is_exact is None else is_exact)
    for place, pile in (*one, *other):
        both.add(place, pile.count, pile.since)
    return both


def _times(counted: Counted, factor: float) -> Counted:
    scaled = Counted(is_exact=False)
    for place, pile in counted:
        scaled.add(place, pile.count * factor, pile.since)
    return scaled


def _at_least(counted: Counted, guessed: Counted) -> Counted:
    """Return the guess, but nowhere less than what was counted; if all was counted, that."""
    if counted.is_exact:
        return counted
    best = Counted(is_exact=False)
    for place in {**counted.piles, **guessed.piles}:
        found = counted.piles.get(place, Pile()), guessed.piles.get(place, Pile())
        best.add(place, max(pile.count for pile in found), earliest(pile.since for pile in found))
    return best


def _moment(value: Any, using: str) -> datetime | None:
    """Return a moment as Django gives it, of one that was read without the ORM."""
    connection = connections[using]
    column = OutboxMessage._meta.get_field("created_at").get_col("part")
    for convert in connection.ops.get_db_converters(column):
        value = convert(value, column, connection)
    assert value is None or isinstance(value, datetime)
    return value
