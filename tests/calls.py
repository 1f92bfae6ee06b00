"""Hear what wakes a relay, as a relay does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from django_dlq.models.wake_up import CHANNEL

END = "the end"
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = %s"


class Calls:
    """A session that listens."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def count(self, *, synchronous_commit: str = "on") -> int:
        """Return how many calls were committed since the last time."""
        with connect() as other:
            other.execute("SELECT set_config('synchronous_commit', %s, false)", [synchronous_commit])
            other.execute("SELECT pg_notify(%s, %s)", [CHANNEL, END])
        heard = []
        for call in self._session.notifies(timeout=10):
            if call.payload == END:
                return len(heard)
            heard.append(call)
        raise AssertionError("nothing is heard")


@contextmanager
def listening(**place: Any) -> Iterator[Calls]:
    """Listen as long as the block, beside a pooler if another place is given."""
    with connect(**place) as session:
        session.execute(f"LISTEN {CHANNEL}")
        yield Calls(session)


def listeners() -> list[int]:
    """Return the sessions of this database that listen."""
    with connect() as other:
        return [pid for (pid,) in other.execute(LISTENERS, [f"LISTEN {CHANNEL}"]).fetchall()]


def terminate(*sessions: int) -> None:
    """End sessions, as an administrator or a failover does, and wait until they have ended."""
    with connect() as other:
        other.execute("SELECT pg_terminate_backend(pid, 10000) FROM unnest(%s::int[]) AS pid", [list(sessions)])


def connect(**place: Any) -> Any:
    """Connect to the tests' database beside Django."""
    database: Any = connection
    return database.Database.connect(**database.get_connection_params() | place, autocommit=True)
