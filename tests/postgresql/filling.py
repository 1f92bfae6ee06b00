"""Long tables, filled by the database itself within seconds."""

from collections.abc import Sequence

from django.db import connection

HISTORY = """
    INSERT INTO django_dlq_publishedmessage (
        outbox_id, message_id, message_key, topic, tag, headers, body, broker, priority, "group",
        created_at, published_at
    )
    SELECT n, n::text, n::text, 't', '', '[]', repeat('x', 250)::bytea, 'default', 0, '', now(), now()
    FROM generate_series(%s, %s) AS n
    """
OUTBOX = """
    INSERT INTO django_dlq_outboxmessage (
        message_id, message_key, topic, key, tag, headers, body, broker, lane, priority, "group", due_at, created_at
    )
    SELECT n::text, n::text, 'orders', (n %% 1000)::text, '', '[]', repeat('x', 250)::bytea, 'default',
        (%s::int[])[n %% %s + 1], CASE WHEN n %% 1000 = 0 THEN 5 ELSE 0 END, '', now() + %s::interval, now()
    FROM generate_series(1, %s) AS n
    """


def fill_history(first: int, last: int) -> None:
    """Write messages that were sent just now, under these ids."""
    with connection.cursor() as cursor:
        cursor.execute(HISTORY, [first, last])


def fill_outbox(rows: int, *, lanes: Sequence[int] = range(64), delay: str | None = None) -> None:
    """Write so many messages of a thousand keys, in these lanes in turn, one in a thousand urgent."""
    with connection.cursor() as cursor:
        cursor.execute(OUTBOX, [list(lanes), len(lanes), delay, rows])
