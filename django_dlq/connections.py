"""The database connections of a thread that runs for long: whether they are lost, and when they are closed."""

from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper


def lost_connection(error: BaseException) -> bool:
    """Tell whether an error means that the database cannot be reached, rather than that a statement was wrong."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    return not all(_is_usable(connection) for connection in connections.all(initialized_only=True))


def open_connections() -> list[object]:
    """Return the driver's connections of this thread; Django replaces one that broke inside atomic()."""
    return [connection.connection for connection in connections.all(initialized_only=True)]


def close_connections() -> None:
    """Close every database connection of this thread, so that the next query makes a new one."""
    for connection in connections.all(initialized_only=True):
        connection.close()


def close_old_connections() -> None:
    """Close connections that outlived CONN_MAX_AGE.

    Its default 0 means "after each request"; a process that never ends a request would connect anew for every batch.
    """
    for connection in connections.all(initialized_only=True):
        if connection.settings_dict["CONN_MAX_AGE"] != 0:
            connection.close_if_unusable_or_obsolete()


def _is_usable(connection: BaseDatabaseWrapper) -> bool:
    # Django drops a connection that broke inside atomic(); connecting anew tells whether the database is there.
    try:
        connection.ensure_connection()
    except DatabaseError:
        return False
    return connection.is_usable()
