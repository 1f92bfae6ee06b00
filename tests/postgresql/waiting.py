"""Wait for what another session does."""

import time

from django.db import connection

# Not pg_stat_activity, which a transaction reads once.
BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"


def wait_until_blocking_somebody(seconds: float = 10) -> None:
    """Return when another session waits for this one's transaction."""
    until = time.monotonic() + seconds
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(BLOCKED)
            if cursor.fetchone()[0]:
                return
            time.sleep(0.005)
    raise AssertionError("nobody waits")
