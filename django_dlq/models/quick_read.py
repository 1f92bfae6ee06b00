"""Statements for people who look: the database gives them up before they are in the way of anybody's work."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_dlq.models.postgresql_reading import ALONG_INDEXES

LONGEST: Final = 1.0
"""Seconds. SQLite has no such limit, and nothing in it that would make a short read long."""

GIVEN_UP: Final = frozenset({"57014", 1969, 3024})
"""What PostgreSQL, MariaDB and MySQL call a statement that took too long."""

BY_PAGES: Final = {"enable_seqscan": "off", "enable_indexscan": "off", "jit": "off"}
"""What the planner must not choose where the index is BRIN, which leads to pages and not to rows."""


def quick_read(
    sql: str, parameters: Sequence[Any], *, using: str, planning: Mapping[str, str] = ALONG_INDEXES
) -> list[tuple[Any, ...]] | None:
    """Return the rows of a SELECT that an index serves, or None if it takes longer than LONGEST."""
    connection = connections[using]
    try:
        with _limited(connection, planning), connection.cursor() as cursor:
            cursor.execute(_in_time(sql, connection), parameters)
            return list(cursor.fetchall())
    except OperationalError as error:
        if _code(error) not in GIVEN_UP:
            raise
        return None


def _in_time(sql: str, connection: Any) -> str:
    if connection.vendor != "mysql":
        return sql
    if connection.mysql_is_mariadb:
        return f"SET STATEMENT max_statement_time={LONGEST} FOR {sql}"
    return sql.replace("SELECT", f"SELECT /*+ MAX_EXECUTION_TIME({LONGEST * 1000:.0f}) */", 1)


@contextmanager
def _limited(connection: BaseDatabaseWrapper, planning: Mapping[str, str]) -> Iterator[None]:
    if connection.vendor != "postgresql":
        yield
        return
    wanted = {**planning, "statement_timeout": f"{LONGEST * 1000:.0f}"}
    is_inside = connection.in_atomic_block
    with transaction.atomic(connection.alias):
        before = _settings(connection, wanted) if is_inside else {}
        _set(connection, wanted)
        yield
        # A savepoint that is kept keeps them too, to the end of the caller's transaction.
        _set(connection, before)


def _settings(connection: BaseDatabaseWrapper, names: Iterable[str]) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, current_setting(name) FROM unnest(%s::text[]) AS wanted (name)", [list(names)])
        return dict(cursor.fetchall())


def _set(connection: BaseDatabaseWrapper, values: dict[str, str]) -> None:
    if values:
        with connection.cursor() as cursor:
            # For this transaction only, as a pooler in transaction mode needs it.
            sql = "SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)"
            cursor.execute(sql, [list(values), list(values.values())])


def _code(error: OperationalError) -> object:
    cause = error.__cause__
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or (error.args or (None,))[0]
