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

Row = TypeVar("Row")

ALONG_INDEXES: Final = {"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off", "jit": "off"}
"""What the planner must not choose."""

LONGEST_WAIT: Final = timedelta(seconds=5)
"""For a lock: whoever reads has to go on, if only to say that he cannot, and to keep his lanes."""

_PLANNING: Final = " ".join(f"SET LOCAL {name} TO {value};" for name, value in ALONG_INDEXES.items())
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
    wait = min(LONGEST_WAIT, conf.DLQ_RELAY_LEASE / 3) // timedelta(milliseconds=1)
    statement = f"{_PLANNING} SET LOCAL lock_timeout TO {wait}; DECLARE dlq BINARY CURSOR FOR {sql}; FETCH ALL FROM dlq"
    if connection.in_atomic_block:  # else its end is the end of all this
        statement += f"; CLOSE dlq; {_UNDO}"
    with connection.cursor() as cursor:
        cursor.execute(*_bound(connection, statement, parameters))
        while cursor.description is None:
            cursor.nextset()
        cursor.cursor.row_factory = lambda _: make
        rows: list[Row] = cursor.fetchall()
        return rows


def _bound(connection: Any, statement: str, parameters: Sequence[Any]) -> tuple[str, Sequence[Any] | None]:
    """Put the parameters into the statement where the driver would leave that to the server, which takes but one."""
    if not connection.settings_dict["OPTIONS"].get("server_side_binding"):
        return statement, parameters
    return connection.Database.ClientCursor(connection.connection).mogrify(statement, parameters), None


def _is_psycopg3(connection: BaseDatabaseWrapper) -> bool:
    connection.ensure_connection()
    return hasattr(connection.connection, "pgconn")
