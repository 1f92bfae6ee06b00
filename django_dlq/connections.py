"""The database connections of a thread that runs for long: whether they are lost, and when they are closed."""

from collections.abc import Mapping
from typing import Final

from django.db import DatabaseError, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

PATIENCE: Final[Mapping[str, int]] = {
    "connect_timeout": 5,
    # After ten seconds without a word the server is asked for a sign of life, three times; and what it was sent is to
    # be acknowledged in as many milliseconds.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""libpq's parameters with which a connection fails about 20 seconds after the last sign of life from its server."""


def notice_silence() -> None:
    """Let the PostgreSQL connections that this process makes from now on fail where nothing comes back any more.

    A network that drops everything, or a server that is gone without a word, is an error after a quarter of an hour
    otherwise, or after two hours where an answer is awaited. A server that only takes long goes on giving signs of
    life. What OPTIONS name stays as it is; they are all left alone with a `service`, whose file may name more.
    """
    for connection in connections.all():
        options = connection.settings_dict["OPTIONS"]
        if connection.vendor == "postgresql" and "service" not in options:
            for name, value in PATIENCE.items():
                options.setdefault(name, value)


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
