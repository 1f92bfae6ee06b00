"""Wake a relay that rests: with one NOTIFY after the commit of who publishes, on PostgreSQL.

Not inside the transaction, where NOTIFY takes a lock of the whole server until the commit is on disk, and so makes all
writers one queue. And not for each: a relay that was woken looks so often for a while that it needs no second call.
"""

import time
from functools import cache
from threading import Lock
from typing import Any, Final

from django.db import connections

CHANNEL: Final = "django_dlq"

LEAST_APART: Final = 0.02
"""Seconds between two calls of one process."""

SILENCE: Final = 10.0
"""Seconds without a call after one that failed, so that no log fills and nobody waits for the same trouble again."""

# Alone in its transaction a NOTIFY waits for no disk. But its lock is the server's only one of the kind: if somebody
# keeps it for long, a call is not worth waiting. One statement, so that the limit ends with it, behind a pooler too.
CALL = f"SELECT set_config('lock_timeout', '100', true), pg_notify('{CHANNEL}', '')"


def can_wake(connection: Any) -> bool:
    """Tell whether there is NOTIFY, and a driver that can wait for it: PostgreSQL and psycopg 3."""
    return bool(connection.vendor == "postgresql" and connection.Database.__name__ == "psycopg")


def wake_relay_on_commit(using: str) -> None:
    """Call the relays when the present transaction has committed; an error of the call is logged, and not raised.

    Not promised: that a relay hears it. So relays look by themselves too.
    """
    connection = connections[using]
    if not can_wake(connection):
        return
    call = _caller(using).call
    if all(hook != call for _, hook, *_ in connection.run_on_commit):
        connection.on_commit(call, robust=True)


class Caller:
    """Who calls the relays of one database for this process. Any thread may use it."""

    def __init__(self, using: str) -> None:
        self._using = using
        self._lock = Lock()
        self._next = 0.0

    def call(self) -> None:
        """Call, unless somebody has just done so; or raise what went wrong."""
        if time.monotonic() < self._next:
            return  # nearly always, where there is much to do
        connection = connections[self._using]
        # Tests run what waits for a commit inside a transaction of theirs.
        if connection.in_atomic_block or not self._is_time():
            return
        try:
            with connection.cursor() as cursor:
                cursor.execute(CALL)
        except Exception:
            self._next = time.monotonic() + SILENCE
            raise

    def _is_time(self) -> bool:
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return False
            self._next = now + LEAST_APART
            return True


@cache
def _caller(using: str) -> Caller:
    return Caller(using)
