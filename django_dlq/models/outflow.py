"""How fast messages go out, from where they were written down last, without ever reading much of the history.

The newest ids do not tell it. A message whose delay has ended, or whose topic was paused, has an old id when it is
sent, and in a catch-up all of them have.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from django.db import connections

from django_dlq.figures import Pace, Published
from django_dlq.models.clock import in_future
from django_dlq.models.lately import WINDOWS, Rows, lately
from django_dlq.models.published_message import PublishedMessage
from django_dlq.models.quick_read import BY_PAGES, quick_read

SAMPLED_PAGES: Final = 1_000
"""Pages that PostgreSQL draws by lot where no window can be read in time."""

FIGURES: Final = "topic, lane, COUNT(*), AVG({lag}), MAX({lag})"
LAG: Final[Mapping[str, str]] = {
    "postgresql": "EXTRACT(EPOCH FROM published_at - created_at)",
    "mysql": "TIMESTAMPDIFF(MICROSECOND, created_at, published_at) / 1e6",
    "sqlite": "(JULIANDAY(published_at) - JULIANDAY(created_at)) * 86400.0",
}

# A partitioned table has its rows in its parts, and any other is no tree.
SIZE: Final = """
    SELECT COALESCE((SELECT SUM(pg_relation_size(relid)) FROM pg_partition_tree(%s)), pg_relation_size(%s))
    / current_setting('block_size')::integer
    """


class Course(NamedTuple):
    """What messages that went out are told apart by."""

    topic: str
    lane: int


@dataclass(frozen=True, slots=True)
class Flow:
    """Messages that went out: how many, and the seconds from `publish` to the broker's confirmation."""

    count: float = 0
    lag_sum: float = 0.0
    longest_lag: float = 0.0

    def __add__(self, other: "Flow") -> "Flow":
        """Return both together."""
        longest = max(self.longest_lag, other.longest_lag)
        return Flow(self.count + other.count, self.lag_sum + other.lag_sum, longest)

    def pace(self, seconds: int) -> Pace:
        """Return how fast that was, if it took so long."""
        lag = self.lag_sum / self.count if self.count else 0.0
        return Pace(rate=self.count / seconds, lag_seconds=lag, longest_lag_seconds=self.longest_lag)


Flows = Mapping[Course, Flow]


def outflow() -> Published:
    """Count what went out in the last minute, or of a fast history in the last seconds.

    On PostgreSQL some pages are drawn by lot if even that takes too long, as it does while nothing has summed up the
    index of moments since many were written: there are many then, and so many of them are drawn. Elsewhere nothing is
    told then.
    """
    using = PublishedMessage.objects.db
    if found := lately(partial(_counted, using)):
        seconds, rows = found
        return _published(_flows(rows), seconds, is_exact=True)
    sampled = _sampled(WINDOWS[0], using) if connections[using].vendor == "postgresql" else {}
    return _published(sampled, WINDOWS[0], is_exact=False)


def _published(flows: Flows, seconds: int, *, is_exact: bool) -> Published:
    total = sum(flows.values(), Flow()).pace(seconds)
    return Published(
        rate=total.rate,
        lag_seconds=total.lag_seconds,
        longest_lag_seconds=total.longest_lag_seconds,
        seconds=seconds,
        exact=is_exact,
        topics=_paces(flows, seconds, lambda course: course.topic),
        lanes=_paces(flows, seconds, lambda course: course.lane),
    )


def _paces(flows: Flows, seconds: int, part: Callable[[Course], Any]) -> dict[Any, Pace]:
    """Sum the flows up by a part of their course."""
    sums: dict[Any, Flow] = {}
    for course, flow in flows.items():
        sums[part(course)] = sums.get(part(course), Flow()) + flow
    return {name: flow.pace(seconds) for name, flow in sorted(sums.items())}


def _counted(using: str, seconds: int, most: int | None) -> Rows | None:
    """Read what went out in the last seconds along the index of moments; return None if it takes too long."""
    sent = PublishedMessage.objects.filter(published_at__gt=in_future(-timedelta(seconds=seconds)))
    compiler = sent.values("topic", "lane", "published_at", "created_at")[:most].query.get_compiler(using)
    sql, parameters = compiler.as_sql()
    if connections[using].vendor == "mysql":
        table = compiler.quote_name_unless_alias(PublishedMessage._meta.db_table)
        sql = sql.replace(f"FROM {table}", f"FROM {table} FORCE INDEX (dlq_published_at)", 1)
    figures = FIGURES.format(lag=LAG[connections[using].vendor])
    counted = f"SELECT {figures} FROM ({sql}) sent GROUP BY topic, lane"  # noqa: S608
    return quick_read(counted, parameters, using=using, planning=BY_PAGES)


def _sampled(seconds: int, using: str) -> dict[Course, Flow]:
    connection = connections[using]
    table = connection.ops.quote_name(PublishedMessage._meta.db_table)
    figures = FIGURES.format(lag=LAG["postgresql"])
    with connection.cursor() as cursor:
        cursor.execute(SIZE, [table, table])
        share = min(1.0, SAMPLED_PAGES / max(1, cursor.fetchone()[0]))
        cursor.execute(
            f"SELECT {figures} FROM {table} TABLESAMPLE SYSTEM (%s) "  # noqa: S608
            "WHERE published_at > STATEMENT_TIMESTAMP() - %s * INTERVAL '1 second' GROUP BY topic, lane",
            [float(share) * 100, seconds],
        )
        return _flows(cursor.fetchall(), times=1 / float(share))


def _flows(read: Rows, times: float = 1.0) -> dict[Course, Flow]:
    return {
        Course(topic, lane): Flow(count * times, float(average) * count * times, float(longest))
        for topic, lane, count, average, longest in read
    }
