"""Begin a transaction with its first statement: in one journey to the server, and past the cursors.

psycopg sends BEGIN by itself, and waits for the answer, before a connection's first statement. And the two cursors that
a statement goes through, Django's and the driver's, take longer in Python than the server does for one row. Both is
much of what a message costs, so where nobody looks, the statement is given to libpq as it is sent.
"""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

IDLE: Final = 0
"""libpq's PQTRANS_IDLE, and its PQ_PIPELINE_OFF."""

FATAL: Final = 7
"""libpq's PGRES_FATAL_ERROR."""


class Answer(NamedTuple):
    """How many rows a statement inserted, and the first column of those that it returned."""

    rows: int
    texts: Sequence[str] = ()


def execute_first(connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[str | None]) -> Answer:
    """Execute a statement that returns at most one column, of texts; what may be a transaction's first one.

    If it is that, on PostgreSQL with psycopg 3 as Django configures it, BEGIN goes with it. Not so where an execute
    wrapper, `connection.queries` or a cursor class that is not Django's own is there to see statements, and where BEGIN
    has to say more than that: there all goes as ever.
    """
    if _begins_transaction(connection) and not any(text is not None and "\0" in text for text in parameters):
        return _past_cursors(connection, sql, parameters)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return Answer(cursor.rowcount, [text for (text,) in cursor.fetchall()] if cursor.description else ())


def _begins_transaction(connection: BaseDatabaseWrapper) -> bool:
    if connection.vendor != "postgresql" or connection.execute_wrappers or connection.queries_logged:
        return False
    driver: Any = connection.connection
    if not hasattr(driver, "pgconn") or driver.autocommit or connection.needs_rollback:
        return False
    if (driver.isolation_level, driver.read_only, driver.deferrable) != (None, None, None):
        return False
    if (driver.pgconn.transaction_status, driver.pgconn.pipeline_status) != (IDLE, IDLE):
        return False
    create_cursor, cursors = _djangos_own()
    return type(connection).create_cursor is create_cursor and driver.cursor_factory in cursors


def _past_cursors(connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[str | None]) -> Answer:
    from psycopg.errors import error_from_result  # noqa: PLC0415  # only who uses PostgreSQL has it
    from psycopg.generators import execute  # noqa: PLC0415
    from psycopg.pq import Escaping  # noqa: PLC0415

    driver: Any = connection.connection
    quote = Escaping(driver.pgconn).escape_literal
    literals = tuple([b"NULL" if text is None else quote(text.encode()) for text in parameters])
    with connection.wrap_database_errors, driver.lock:
        driver.pgconn.send_query(b"BEGIN; " + sql.encode() % literals)
        # The last one is the answer to the statement, or an error; waited for as the driver does, so that Ctrl-C works.
        result = driver.wait(execute(driver.pgconn))[-1]
        if result.status == FATAL:
            raise error_from_result(result)
    texts = [(result.get_value(row, 0) or b"").decode() for row in range(result.ntuples)]
    return Answer(result.command_tuples or 0, texts)


@cache
def _djangos_own() -> tuple[object, Collection[object]]:
    from django.db.backends.postgresql.base import Cursor, DatabaseWrapper, ServerBindingCursor  # noqa: PLC0415

    return DatabaseWrapper.create_cursor, (Cursor, ServerBindingCursor)
