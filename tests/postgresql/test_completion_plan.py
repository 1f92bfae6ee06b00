"""Completing a batch takes as long as the batch is, whatever PostgreSQL believes of its tables."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from django_dlq.models import OutboxMessage, PublishedMessage, RelayLane, postgresql
from django_dlq.models.postgresql import Fence

ROWS = 60_000
BATCH = 4000
FILL = """
    INSERT INTO django_dlq_outboxmessage (
        message_id, message_key, topic, key, tag, headers, body, broker, lane, priority, "group", created_at
    )
    SELECT n, n, 't', n, '', '[]', repeat('x', 250)::bytea, 'default', n %% 64, 0, '', now()
    FROM generate_series(1, %s) AS n
    """
Prepare = Callable[[Any], None]


def analysed(cursor: Any) -> None:
    cursor.execute(FILL, [ROWS])
    cursor.execute("ANALYZE django_dlq_outboxmessage")


def never_analysed(cursor: Any) -> None:
    cursor.execute(FILL, [ROWS])


def believed_to_be_empty(cursor: Any) -> None:
    """Fill what a vacuum has found empty, as it finds the outbox whenever all is sent."""
    cursor.execute("ANALYZE django_dlq_outboxmessage")
    cursor.execute("UPDATE pg_class SET relpages = 50, reltuples = 0 WHERE relname = 'django_dlq_outboxmessage'")
    cursor.execute(FILL, [ROWS])


def believed_to_be_elsewhere(cursor: Any) -> None:
    """Replace what the statistics know by ids that they do not."""
    cursor.execute(FILL, [ROWS])
    cursor.execute("ANALYZE django_dlq_outboxmessage")
    cursor.execute("DELETE FROM django_dlq_outboxmessage")
    cursor.execute(FILL, [ROWS])


@pytest.mark.django_db(transaction=True)  # which empties the tables, else other tests meet the dead rows
@pytest.mark.parametrize("prepare", [analysed, never_analysed, believed_to_be_empty, believed_to_be_elsewhere])
@pytest.mark.parametrize("keeps_history", [True, False])
def test_a_batch_is_found_by_its_ids_and_each_row_is_looked_at_once(prepare: Prepare, keeps_history: bool) -> None:
    RelayLane.objects.all().delete()
    RelayLane.objects.bulk_create([RelayLane(lane=lane, owner="", epoch=0) for lane in range(64)])
    plans: list[dict[str, Any]] = []
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE django_dlq_relaylane")  # from now on nobody is known to have a lane
        RelayLane.objects.update(owner="me", epoch=1)
        prepare(cursor)
    ids = list(OutboxMessage.objects.order_by("id").values_list("id", flat=True)[1000 : 1000 + BATCH])

    with connection.execute_wrapper(explaining(plans)):
        fence = Fence("me", range(64), [1] * 64)
        if keeps_history:
            places = [(pk, pk % 4, pk) for pk in ids]
            postgresql.move(OutboxMessage, PublishedMessage, places, using="default", fence=fence)
        else:
            postgresql.delete(OutboxMessage, ids, using="default", fence=fence)

    (plan,) = plans
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "django_dlq_outboxmessage"]
    reading = [node for node in scans if node["Node Type"].endswith("Scan")]
    # Through the primary key either way; a bitmap is its choice where it knows nothing of their order.
    assert [node["Node Type"] for node in reading] in (["Index Scan"], ["Bitmap Heap Scan"])
    assert [(node["Actual Loops"], node["Actual Rows"]) for node in reading] == [(1, BATCH)]
    assert not [node for node in nodes(plan) if node["Node Type"] == "Nested Loop" and node["Actual Rows"] >= BATCH]
    assert not OutboxMessage.objects.filter(pk__in=ids).exists()
    assert OutboxMessage.objects.count() == ROWS - BATCH


def explaining(plans: list[dict[str, Any]]) -> Callable[..., Any]:
    """Return a wrapper that does what a statement says, and keeps how it was done."""

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        done = execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params, many, context)
        (found,) = context["cursor"].fetchone()
        plans.append((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])
        return done

    return explain


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all parts of a plan."""
    return [plan, *(node for part in plan.get("Plans", ()) for node in nodes(part))]
