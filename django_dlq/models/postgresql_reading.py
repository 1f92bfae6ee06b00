"""Read rows of PostgreSQL in the order of an index, whatever its planner believes, and in its binary format.

The outbox is empty, and then it is not: its statistics are always wrong. Without good ones the planner takes a LIMIT
for most of the table, and a few rows that are due for most of it, and so it read and sorted the whole backlog for each
page. All goes to the server at once, as one transaction, which leaves nothing behind: there may be a pooler between.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper

from django_dlq.conf import conf
from django_dlq.models.postgresql_direct import does_nobody_look

Row = TypeVar("Row")

ALONG_INDEXES: Final = {"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off", "jit": "off"}
"""What the planner must not choose."""

LONGEST_WAIT: Final = timedelta(seconds=5)
"""For a lock: whoever reads has to go on, if only to say that he cannot, and to keep his lanes."""

_UNDO: Final = " ".join(f"SET LOCAL {name} TO DEFAULT;" for name in [*ALONG_INDEXES, "lock_timeout"])


def can_read(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether `read` can be used: with psycopg 3 and time zones.

    Without USE_TZ only Django's own way of reading text turns moments into those of no time zone.
    """
    return connection.vendor == "postgresql" and connection.timezone is not None and _is_psycopg3(connection)


def read(
    connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any], make: Callable[[Sequence[Any]], Row]
) -> list[Row]:
    """Return the rows of a SELECT, each made from its columns. A body comes as bytes, not as hex digits.

    The driver makes them one by one: to make them from a list of tuples takes the memory of all of them twice. Raises
    OperationalError where a lock is waited for too long, for LONGEST_WAIT or a third of a relay's lease.
    """
    return (_in_pipeline if _may_pipeline(connection) else _through_cursor)(connection, sql, parameters, make)


def _may_pipeline(connection: Any) -> bool:
    """Tell whether a transaction would end with what is read, and nobody is there to see the statement."""
    is_supported: bool = connection.Database.Pipeline.is_supported()
    return is_supported and connection.get_autocommit() and does_nobody_look(connection)


def _in_pipeline(
    connection: Any, sql: str, parameters: Sequence[Any], make: Callable[[Sequence[Any]], Row]
) -> list[Row]:
    """Send both statements at once, of which the server makes one transaction, and let it send rows as it finds them.

    Of what is fetched from a cursor it first makes a list, which takes it a quarter of the time that a page needs.
    """
    driver = connection.connection
    with connection.wrap_database_errors:
        with driver.pipeline():
            driver.execute("SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _limits()))
            cursor = connection.Database.Cursor(driver, row_factory=lambda _: make)
            cursor.execute(_literal(connection, sql, parameters), binary=True)
        rows: list[Row] = cursor.fetchall()
        return rows


def _through_cursor(
    connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any], make: Callable[[Sequence[Any]], Row]
) -> list[Row]:
    """Say all of it as one statement, in which only a cursor can be told to answer in binary."""
    limits = " ".join(f"SET LOCAL {name} TO {value};" for name, value in _limits())
    statement = f"{limits} DECLARE dlq BINARY CURSOR FOR {sql}; FETCH ALL FROM dlq"
    if not connection.get_autocommit():  # else its end is the end of all this
        statement += f"; CLOSE dlq; {_UNDO}"
    with connection.cursor() as cursor:
        if connection.settings_dict["OPTIONS"].get("server_side_binding"):
            cursor.execute(_literal(connection, statement, parameters))
        else:
            cursor.execute(statement, parameters)
        while cursor.description is None:
            cursor.nextset()
        cursor.cursor.row_factory = lambda _: make
        rows: list[Row] = cursor.fetchall()
        return rows


def _limits() -> list[tuple[str, str]]:
    wait = min(LONGEST_WAIT, conf.DLQ_RELAY_LEASE / 3) // timedelta(milliseconds=1)
    return [*ALONG_INDEXES.items(), ("lock_timeout", str(wait))]


def _literal(connection: Any, sql: str, parameters: Sequence[Any]) -> str:
    """Put the parameters into a statement. The server, if it is to do that, takes but one, and plans for any."""
    literal: str = connection.Database.ClientCursor(connection.connection).mogrify(sql, parameters)
    return literal


def _is_psycopg3(connection: BaseDatabaseWrapper) -> bool:
    connection.ensure_connection()
    return hasattr(connection.connection, "pgconn")
