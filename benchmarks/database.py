"""Databases of the benchmark's own, fresh in each run."""

import os
import subprocess
import sys
from typing import Any

import psycopg

from benchmarks.processes import ROOT
from benchmarks.raw import Connection
from benchmarks.settings import DATABASES

NAME: str = DATABASES["default"]["NAME"]  # type: ignore[assignment]
TABLES = (
    "django_dlq_outboxmessage",
    "django_dlq_publishedmessage",
    "django_dlq_inboxmessage",
    "django_dlq_halfmessage",
    "django_dlq_halfmessagecheck",
    "benchmarks_order",
)
LEASES = """
    UPDATE django_dlq_relaylane SET leased_until = NULL;
    DELETE FROM django_dlq_relayprocess;
"""


class NoServices(SystemExit):
    """PostgreSQL is not there."""


def create(name: str = NAME) -> None:
    """Make an empty database with all tables; say what to do if there is no server."""
    recreate(name)
    command = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
    subprocess.run([*command, "--settings", "benchmarks.settings"], cwd=ROOT, env=_environment(name), check=True)


def recreate(name: str) -> None:
    """Make an empty database without tables."""
    drop(name)
    with by_hand("postgres") as server:
        server.execute(f"CREATE DATABASE {name}")


def drop(name: str) -> None:
    """Give the disk back."""
    try:
        with by_hand("postgres") as server:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    except psycopg.OperationalError as error:
        raise NoServices(f"PostgreSQL does not answer; run `make services` first.\n{error}") from error


def by_hand(name: str = NAME) -> Connection:
    """Connect with psycopg alone, as the raw loops do."""
    database: dict[str, Any] = DATABASES["default"]
    return psycopg.connect(
        host=database["HOST"], port=database["PORT"], user=database["USER"], dbname=name, autocommit=True
    )


def empty(name: str = NAME) -> None:
    """Leave no row of an earlier round, and no lease of a process that was killed."""
    with by_hand(name) as hand:
        hand.execute(f"TRUNCATE {', '.join(TABLES)}")
        hand.execute(LEASES)


def settle(name: str = NAME) -> None:
    """Bring statistics and disk up to date, so that the server does not do it while the clock runs."""
    with by_hand(name) as hand:
        hand.execute("VACUUM ANALYZE")
        hand.execute("CHECKPOINT")


def _environment(name: str) -> dict[str, str]:
    return os.environ | {"BENCH_DATABASE": name}
