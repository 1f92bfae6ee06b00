"""Give a statement to libpq as it is sent: past the cursors, and in one journey with the BEGIN that it needs.

psycopg sends BEGIN by itself, and waits for the answer, before a connection's first statement. And the two cursors that
a statement goes through, Django's and the driver's, take longer in Python than the server does for one row. Both is
much of what a message costs, so where nobody looks, the statements that each message has go another way.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, cast

from django.db.backends.base.base import BaseDatabaseWrapper

from django_dlq.models.postgresql_plans import Plans, plans_of

Value = str | int | bytes | None
"""What is written as a literal here; for anything else the driver has its own ways."""

IDLE: Final = 0
"""libpq's PQTRANS_IDLE, and its PQ_PIPELINE_OFF."""

IN_TRANSACTION: Final = 2
"""libpq's PQTRANS_INTRANS."""

FATAL: Final = 7
"""libpq's PGRES_FATAL_ERROR."""

PLAN_IS_STALE: Final = ("26000", "0A000")
"""invalid_sql_statement_name: all that was prepared is dropped. feature_not_supported: what it returns has changed."""


class Answer(NamedTuple):
    """How many rows a statement inserted, and the first column of those that it returned; maybe as texts."""

    rows: int
    first: Sequence[Any] = ()


def execute_directly(
    connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any], *, keep_plan: bool = False
) -> Answer:
    """Execute a statement that returns at most one column; what may be a transaction's first one.

    If it is that, on PostgreSQL with psycopg 3 as Django configures it, BEGIN goes with it. All goes as ever where an
    execute wrapper, `connection.queries` or a cursor class that is not Django's own is there to see statements, where
    BEGIN has to say more than that, and with parameters that are no Value.

    `keep_plan`: whether the server may keep its plan, since no statistics would make a better one.
    """
    if _is_own(connection) and all(map(_can_be_written, parameters)):
        return _past_cursors(connection, sql, parameters, keep_plan=keep_plan)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return Answer(cursor.rowcount, [first for (first,) in cursor.fetchall()] if cursor.description else ())


def does_nobody_look(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether nobody is there to see statements who would miss those that go past the cursors of psycopg 3."""
    if connection.execute_wrappers or connection.queries_logged:
        return False
    create_cursor, cursors = _djangos_own()
    return type(connection).create_cursor is create_cursor and connection.connection.cursor_factory in cursors


def _is_own(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether nobody looks, and what is to be done is known: in a transaction, before one, or without any."""
    if connection.vendor != "postgresql":
        return False
    driver: Any = connection.connection
    if not hasattr(driver, "pgconn") or connection.needs_rollback:
        return False
    if (driver.isolation_level, driver.read_only, driver.deferrable) != (None, None, None):
        return False
    if driver.pgconn.transaction_status not in (IDLE, IN_TRANSACTION) or driver.pgconn.pipeline_status != IDLE:
        return False
    return does_nobody_look(connection)


def _can_be_written(value: object) -> bool:
    kind = type(value)
    return kind in _WRITTEN and not (kind is str and "\0" in value)  # type: ignore[operator]


_WRITTEN: Final = frozenset({str, int, bytes, type(None)})


def _past_cursors(connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Value], *, keep_plan: bool) -> Answer:
    psycopg, driver = _psycopg(), cast("Any", connection.connection)
    quote = psycopg.pq.Escaping(driver.pgconn).escape_literal
    literals = [_literal(value, quote) for value in parameters]
    with connection.wrap_database_errors, driver.lock:
        is_first = driver.pgconn.transaction_status == IDLE and not driver.autocommit
        if not keep_plan:
            return _sent(driver, [sql.encode() % tuple(literals)], is_first=is_first)
        plans = plans_of(driver)
        try:
            return _sent(driver, plans.statements(sql, literals), is_first=is_first, plans=plans)
        except psycopg.Error as error:
            if error.sqlstate not in PLAN_IS_STALE:
                raise
            plans.forget()
            if not (is_first or driver.autocommit):
                raise  # the transaction is lost
        if is_first:
            _send(driver, [b"ROLLBACK"])
        return _sent(driver, plans.statements(sql, literals), is_first=is_first, plans=plans)


def _sent(driver: Any, statements: Sequence[bytes], *, is_first: bool, plans: Plans | None = None) -> Answer:
    """Send a statement, and maybe one before it that is about plans; return the answer to the last."""
    *before, result = _send(driver, [b"BEGIN", *statements] if is_first else statements)
    if plans is not None and len(before) == is_first + 1:
        plans.hear(before[-1], process=driver.pgconn.backend_pid)
    if result.status == FATAL:
        raise _psycopg().errors.error_from_result(result)
    first = [(result.get_value(row, 0) or b"").decode() for row in range(result.ntuples)]
    return Answer(result.command_tuples or 0, first)


def _send(driver: Any, statements: Sequence[bytes]) -> list[Any]:
    """Send statements in one journey; return the answers, of which the last one may be an error."""
    driver.pgconn.send_query(b"; ".join(statements))
    # Waited for as the driver does, so that Ctrl-C works.
    answers: list[Any] = driver.wait(_psycopg().generators.execute(driver.pgconn))
    return answers


@cache
def _psycopg() -> Any:
    """Return psycopg 3, which only those have who use PostgreSQL; once, since to import takes time each time."""
    import psycopg.errors  # noqa: PLC0415
    import psycopg.generators  # noqa: PLC0415
    import psycopg.pq  # noqa: PLC0415

    return psycopg


def _literal(value: Value, quote: Callable[[bytes], bytes]) -> bytes:
    if value is None:
        return b"NULL"
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, bytes):
        return quote(b"\\x" + value.hex().encode())
    return quote(value.encode())


@cache
def _djangos_own() -> tuple[object, Collection[object]]:
    from django.db.backends.postgresql.base import Cursor, DatabaseWrapper, ServerBindingCursor  # noqa: PLC0415

    return DatabaseWrapper.create_cursor, (Cursor, ServerBindingCursor)
