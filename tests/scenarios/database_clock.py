"""The database's clock as a test moves it: the statements stay as they are, but for whom they ask the time."""

from datetime import datetime
from typing import Any, Final

import pytest
from django.db import connection

from django_dlq.models import DatabaseNow

STAMP: Final = "%Y-%m-%d %H:%M:%S.%f"
"""How a moment is written: for SQLite as Django does it."""

# Of a session, and inside a transaction gone with it. STABLE, as the clock that it stands for.
FUNCTION: Final = """
    CREATE OR REPLACE FUNCTION pg_temp.dlq_clock() RETURNS timestamptz STABLE LANGUAGE sql
    AS $$ SELECT current_setting('dlq.clock')::timestamptz $$
    """
CALLS: Final = {
    "sqlite": "DLQ_CLOCK()",
    "postgresql": "pg_temp.dlq_clock()",
    "mysql": "CAST(@dlq_clock AS DATETIME(6))",
}
"""What asks for the time; no moment itself, since statements are compiled once and kept."""

TELLS: Final = {
    "postgresql": "SELECT set_config('dlq.clock', %s || '+00', false)",
    "mysql": "SET @dlq_clock = %s",
}

_told = ""


def install(patches: pytest.MonkeyPatch) -> None:
    """Let the statements of this connection go by what the test tells."""
    call = CALLS[connection.vendor]

    def ask(now: DatabaseNow, compiler: Any, using: Any, **extra: Any) -> Any:
        return now.as_sql(compiler, using, template=call, **extra)

    patches.setattr(DatabaseNow, f"as_{connection.vendor}", ask, raising=False)
    if connection.vendor == "sqlite":
        connection.connection.create_function("dlq_clock", 0, lambda: _told)
    elif connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(FUNCTION)


def tell(moment: datetime) -> None:
    """Set the clock."""
    global _told  # noqa: PLW0603  # one connection, one clock
    _told = f"{moment:{STAMP}}"
    if statement := TELLS.get(connection.vendor):
        with connection.cursor() as cursor:
            cursor.execute(statement, [_told])
