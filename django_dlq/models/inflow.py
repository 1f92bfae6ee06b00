"""What groups did lately with the messages that came, and what they passed over, out of an inbox of any length."""

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Final

from django.db import connections
from django.db.models import QuerySet

from django_dlq.figures import Inbox
from django_dlq.models.clock import in_future
from django_dlq.models.inbox_message import InboxMessage, Outcome
from django_dlq.models.lately import COUNT, Rows, lately
from django_dlq.models.quick_read import quick_read

MOST_ODD: Final = 10_000
"""Messages that were not simply handled and are counted."""

LATELY: Final = {"enable_seqscan": "off", "jit": "off"}

ODD: Final = tuple(outcome for outcome in Outcome if outcome != Outcome.HANDLED)


def inflow() -> Inbox:
    """Count messages by group and outcome, along the indexes; what cannot be read in time is left out."""
    using = InboxMessage.objects.db
    seconds, done = lately(partial(_of_the_last, using)) or (0, None)
    odd = _counted(InboxMessage.objects.filter(outcome__in=ODD).order_by(), MOST_ODD + 1, using, "dlq_inbox_odd")
    return Inbox(
        seconds=seconds,
        groups=_by_group(done or [], Outcome),
        kept=_by_group(odd or [], ODD),
        exact=done is not None and odd is not None and sum(row[COUNT] for row in odd) <= MOST_ODD,
    )


def _of_the_last(using: str, seconds: int, most: int | None) -> Rows | None:
    done = InboxMessage.objects.filter(handled_at__gt=in_future(-timedelta(seconds=seconds)))
    return _counted(done.order_by("handled_at"), most, using, "dlq_inbox_at")


def _counted(rows: "QuerySet[InboxMessage]", most: int | None, using: str, index: str) -> Rows | None:
    compiler = rows.values("group", "outcome")[:most].query.get_compiler(using)
    sql, parameters = compiler.as_sql()
    quote = connections[using].ops.quote_name
    if connections[using].vendor == "mysql":
        table = compiler.quote_name_unless_alias(InboxMessage._meta.db_table)
        sql = sql.replace(f"FROM {table}", f"FROM {table} FORCE INDEX ({index})", 1)
    names = f"{quote('group')}, outcome"
    counted = f"SELECT {names}, COUNT(*) FROM ({sql}) done GROUP BY {names}"  # noqa: S608
    return quick_read(counted, parameters, using=using, planning=LATELY)


def _by_group(rows: Rows, outcomes: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    counts = {(group, outcome): count for group, outcome, count in rows}
    groups = sorted({group for group, _ in counts})
    return {group: {each.value: counts.get((group, each.value), 0) for each in outcomes} for group in groups}
