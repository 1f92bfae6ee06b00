"""A database of the benchmark's own, fresh in each run."""

from typing import Any

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from benchmarks.raw import Connection

TABLES = (
    "django_dlq_outboxmessage",
    "django_dlq_publishedmessage",
    "django_dlq_inboxmessage",
    "benchmarks_order",
)


class NoServices(SystemExit):
    """PostgreSQL is not there."""


def create() -> None:
    """Make an empty database with all tables; say what to do if there is no server."""
    name = settings.DATABASES["default"]["NAME"]
    try:
        server = by_hand("postgres")
    except psycopg.OperationalError as error:
        raise NoServices(f"PostgreSQL does not answer; run `make services` first.\n{error}") from error
    with server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name}")
    call_command("migrate", run_syncdb=True, verbosity=0)


def by_hand(name: str | None = None) -> Connection:
    """Connect with psycopg alone, as the raw loops do."""
    database: dict[str, Any] = settings.DATABASES["default"]
    return psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        dbname=name or database["NAME"],
        autocommit=True,
    )


def empty() -> None:
    """Leave no row of an earlier round."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)}")


def settle() -> None:
    """Bring statistics and disk up to date, so that the server does not do it while the clock runs."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
