"""The database's clock: the one clock that all machines of a project share."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import DateTimeField, ExpressionWrapper, Value
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django.db.models.sql import Query


class DatabaseNow(Now):
    """The database's time at the start of the statement.

    Django's own Now() is in the session's time zone on MySQL and MariaDB while columns are in UTC, which would make
    everything due hours early or late.
    """

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Write it in UTC, with microseconds."""
        return self.as_sql(compiler, connection, template="UTC_TIMESTAMP(6)", **extra)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Write it with six digits, as SQLite's texts of moments have them: what is due now is due at once."""
        template = "STRFTIME('%%%%Y-%%%%m-%%%%d %%%%H:%%%%M:%%%%f000', 'NOW')"
        return self.as_sql(compiler, connection, template=template, **extra)


def in_future(delay: timedelta) -> "ExpressionWrapper[CombinedExpression]":
    """Return the expression for the database's time after a delay."""
    return ExpressionWrapper(DatabaseNow() + Value(delay), output_field=DateTimeField())


def database_now(using: str) -> datetime:
    """Ask the database for its time."""
    query = Query(None)  # a SELECT without a table needs no model
    query.add_annotation(DatabaseNow(), "now")
    (now,) = next(iter(query.get_compiler(using=using).results_iter()))
    assert isinstance(now, datetime)
    return now


def seconds_since(moment: datetime | None, now: datetime) -> float:
    """Return how long ago a moment was; 0.0 for none, and for what was written between two readings of the clock."""
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
