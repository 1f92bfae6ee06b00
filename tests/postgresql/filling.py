"""Long tables, filled by the database itself within seconds."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import connection

OUTBOX = "django_dlq_outboxmessage"
TOPIC = "orders"
FILL_HISTORY = """
    INSERT INTO django_dlq_publishedmessage (
        outbox_id, message_id, message_key, topic, lane, tag, headers, body, broker, priority, "group",
        created_at, published_at
    )
    SELECT n, n::text, n::text, 't', n %% 64, '', '[]', repeat('x', 250)::bytea, 'default', 0, '', now(), now() - %s
    FROM generate_series(%s, %s) AS n
    """
FILL_OUTBOX = """
    INSERT INTO {table} (
        message_id, message_key, topic, key, tag, headers, body, broker, lane, priority, "group", due_at, created_at
    )
    SELECT n::text, n::text, %s, (n %% 1000)::text, '', '[]', repeat('x', 250)::bytea, 'default',
        (%s::int[])[n %% %s + 1], CASE WHEN n %% 10000 = 0 THEN 5 ELSE 0 END, '', now() + %s::interval, now()
    FROM generate_series(1, %s) AS n
    """


def fill_history(first: int, last: int, *, age: timedelta = timedelta(0)) -> None:
    """Write messages that were sent so long ago, under these ids."""
    _execute(FILL_HISTORY, age, first, last)


def fill_outbox(rows: int, *, lanes: Sequence[int] = range(64), delay: str | None = None, table: str = OUTBOX) -> None:
    """Write so many messages of a thousand keys, in these lanes in turn, one in ten thousand urgent."""
    _execute(FILL_OUTBOX.format(table=table), TOPIC, list(lanes), len(lanes), delay, rows)


def empty(table: str) -> None:
    """Make a table as small as a new one."""
    _execute(f"TRUNCATE {table} CASCADE")


def _execute(sql: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
