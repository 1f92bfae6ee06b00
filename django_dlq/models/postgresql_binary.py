"""Read in PostgreSQL's binary format, with psycopg 3: a body comes as it is, not as digits of twice its length."""

from typing import TYPE_CHECKING, Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

if TYPE_CHECKING:
    from psycopg import ClientCursor, Cursor
else:
    try:
        from psycopg import ClientCursor, Cursor
    except ImportError:  # another database, or psycopg2
        ClientCursor, Cursor = None, object


def reading_cursor(connection: BaseDatabaseWrapper) -> CursorWrapper:
    """Return a cursor for a SELECT of many rows: a binary one where there is one, else Django's own.

    Without USE_TZ it is Django's own: only that turns moments into those of no time zone.
    """
    if connection.vendor != "postgresql" or ClientCursor is None or connection.timezone is None:
        return connection.cursor()
    connection.ensure_connection()
    cursor: Any = _BinaryCursor(connection.connection)
    return connection.make_debug_cursor(cursor) if connection.queries_logged else connection.make_cursor(cursor)


class _BinaryCursor(Cursor):
    """Writes the parameters into the statement, as Django's cursors do: the server may be behind a pooler."""

    def execute(self, query: Any, params: Any = None, **_: Any) -> Any:
        text = ClientCursor(self.connection).mogrify(query, params)
        return super().execute(text.encode(), prepare=False, binary=True)
