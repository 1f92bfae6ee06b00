"""Half messages in the database that nobody can be asked about."""

from collections.abc import Collection
from typing import Any

from django.core.checks import CheckMessage, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import DatabaseError, connections, router

from django_dlq.checkers import checkers
from django_dlq.models import HalfMessage


@register("django_dlq", Tags.database)
def check_missing_checkers(databases: Collection[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Find half messages whose checker has left the code: they would wait for ever."""
    using = router.db_for_write(HalfMessage)
    if using not in (databases or ()):
        return []
    try:
        if HalfMessage._meta.db_table not in connections[using].introspection.table_names():
            return []  # the first migrate, which runs this before it makes the table
        missing = list(HalfMessage.objects.using(using).waiting().count_by_missing_checker(checkers.by_name))
    except DatabaseError:
        return []  # no database, or a table that is about to be migrated
    return [
        CheckWarning(
            f"{count} half messages wait for the checker {name!r}, which this project does not have.",
            hint="Put the checker back, under its old name, or decide them in the admin.",
            id="django_dlq.W120",
        )
        for name, count in missing
    ]
