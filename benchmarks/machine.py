"""What the figures were measured on, without which they say nothing."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version

import confluent_kafka
from django.db import connection


def describe() -> dict[str, str]:
    """Return the date, the machine and every version that matters."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {_processor()}, load average {os.getloadavg()[0]:.1f} at the end",
        "python": platform.python_version(),
        "django": version("django"),
        "psycopg": version("psycopg"),
        "confluent-kafka": f"{version('confluent-kafka')} (librdkafka {confluent_kafka.libversion()[0]})",
        "postgresql": _postgresql(),
    }


def _processor() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        names = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _postgresql() -> str:
    with connection.cursor() as cursor:
        settings = [f"{name} {_setting(cursor, name)}" for name in ("fsync", "synchronous_commit", "shared_buffers")]
        return f"{_setting(cursor, 'server_version').split()[0]} ({', '.join(settings)})"


def _setting(cursor: object, name: str) -> str:
    cursor.execute("SELECT current_setting(%s)", (name,))  # type: ignore[attr-defined]
    return str(cursor.fetchone()[0])  # type: ignore[attr-defined]
