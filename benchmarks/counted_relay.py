"""`manage.py dlq_relay`, with every word that it says to PostgreSQL on record: see statements.py.

libpq itself writes the record, so nothing is missed, whichever way a statement takes.
"""

import os
from typing import Any

import django
from django.core.management import call_command
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.pq import Trace

opened: list[Any] = []


def trace(connection: BaseDatabaseWrapper, **_: object) -> None:
    """Let libpq write down what goes over a new connection."""
    path = os.path.join(os.environ["BENCH_TRACES"], f"{os.getpid()}-{len(opened)}")
    opened.append(open(path, "wb"))  # noqa: SIM115  # libpq writes to it as long as the connection lives
    connection.connection.pgconn.trace(opened[-1].fileno())
    connection.connection.pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)


if __name__ == "__main__":
    django.setup()
    connection_created.connect(trace)
    call_command("dlq_relay")
