"""Half messages in the database that nobody can be asked about."""

from collections.abc import Collection, Iterable
from typing import Any

from django.core.checks import CheckMessage, Tags, register
from django.core.checks import Warning as CheckWarning

from django_dlq.checkers import checkers
from django_dlq.checks.rows import look_up
from django_dlq.models import HalfMessage
from django_dlq.models.half_message import HalfMessageQuerySet


@register("django_dlq", Tags.database)
def check_missing_checkers(databases: Collection[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Find half messages whose checker has left the code: they would wait for ever."""
    return [
        CheckWarning(
            f"{count} half messages wait for the checker {name!r}, which this project does not have.",
            hint="Put the checker back, under its old name, or decide them in the admin.",
            id="django_dlq.W120",
        )
        for name, count in look_up(HalfMessage, databases, _missing)
    ]


def _missing(rows: HalfMessageQuerySet) -> Iterable[tuple[str, int]]:
    return rows.waiting().count_by_missing_checker(checkers.by_name)
