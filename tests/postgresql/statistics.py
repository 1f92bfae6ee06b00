"""What PostgreSQL believes about a table: nothing, the truth, or what was true once. All of it inside a transaction."""

from collections.abc import Callable
from typing import Any

from django.db import connection, models

FORMER = "former"
COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'pg_statistic'::regclass AND attnum > 0 AND attname <> 'starelid'
    """


def forget(model: type[models.Model]) -> None:
    """Make a table one that was never analysed."""
    _believe(model._meta.db_table, 0, -1)


def believe_empty(model: type[models.Model]) -> None:
    """Make a table one that was analysed when all its rows had just been deleted: whatever comes, that is one row."""
    _believe(model._meta.db_table, 600, 0)


def analyse(model: type[models.Model]) -> None:
    """Take the statistics of a table."""
    _execute(f"ANALYZE {model._meta.db_table}")


def remember(model: type[models.Model], fill: Callable[[str], object]) -> None:
    """Give a table the statistics that it would have if it had last been analysed when it was filled like this."""
    table = model._meta.db_table
    _execute(f"CREATE TEMPORARY TABLE {FORMER} (LIKE {table} INCLUDING ALL)")
    fill(FORMER)
    _execute(f"ANALYZE {FORMER}")
    ((pages, rows),) = _execute(f"SELECT relpages, reltuples FROM pg_class WHERE oid = '{FORMER}'::regclass")
    _believe(table, pages, rows)
    columns = ", ".join(name for (name,) in _execute(COLUMNS))
    statistics = f"SELECT '{table}'::regclass, {columns} FROM pg_statistic WHERE starelid = '{FORMER}'::regclass"
    _execute(f"INSERT INTO pg_statistic (starelid, {columns}) {statistics}")
    _execute(f"DROP TABLE {FORMER}")


def _believe(table: str, pages: int, rows: float) -> None:
    _execute(f"DELETE FROM pg_statistic WHERE starelid = '{table}'::regclass")
    believed = f"relpages = {pages}, reltuples = {rows}, relallvisible = 0"
    _execute(f"UPDATE pg_class SET {believed} WHERE oid = '{table}'::regclass")


def _execute(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []
