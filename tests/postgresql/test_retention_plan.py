"""Looking for what is outdated reads a page of a long history, not the history."""

import json
from datetime import timedelta

import pytest
from django.db import connection

from django_dlq.models import InboxMessage, PublishedMessage
from django_dlq.retention import ROWS_PER_STEP
from tests.letters import consumer_letter

ROWS = 30_000
FILL = """
    INSERT INTO django_dlq_publishedmessage (
        outbox_id, message_id, message_key, topic, tag, headers, body, broker, priority, "group",
        created_at, published_at
    )
    SELECT n, n::text, n::text, 't', '', '[]', repeat('x', 250)::bytea, 'default', 0, '', now(), now()
    FROM generate_series(1, %s) AS n
    """


@pytest.mark.django_db
@pytest.mark.parametrize("has_statistics", [False, True])
def test_a_look_at_a_history_where_nothing_is_outdated_reads_one_page(has_statistics: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL, [ROWS])
        if has_statistics:
            cursor.execute("ANALYZE django_dlq_publishedmessage")
        with connection.execute_wrapper(explaining):
            page = PublishedMessage.objects.page(timedelta(days=7), after=0, size=ROWS_PER_STEP)
    assert (page.outdated, page.goes_on) == ([], False)
    assert plans.pop() < ROWS_PER_STEP / 2


INBOX = """
    INSERT INTO django_dlq_inboxmessage ("group", message_key, message_id, topic, handled_at)
    SELECT 'shipping', n, n, 't', now() - interval '100 days' FROM generate_series(1, %s) AS n
    """


@pytest.mark.django_db
def test_a_look_at_the_outdated_inbox_reads_no_more_than_it_deletes() -> None:
    with connection.cursor() as cursor:
        cursor.execute(INBOX, [ROWS])
        for number in range(20):
            consumer_letter(message_key=str(number))
        cursor.execute("ANALYZE django_dlq_inboxmessage, django_dlq_deadletter")
        outdated = InboxMessage.objects.older_than(timedelta(days=90)).without_letter().order_by("handled_at")
        pks = outdated.values_list("pk", flat=True)[:ROWS_PER_STEP]
        assert len(pks.all()) == ROWS_PER_STEP
        plan = json.loads(pks.explain(analyze=True, buffers=True, format="json"))[0]["Plan"]
    # Each row costs a look for its letter, which is two or three pages of an index; all rows would cost 90,000.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 4 * ROWS_PER_STEP


plans: list[int] = []


def explaining(execute, sql, params, many, context):
    """Run a statement a second time to know how many pages it touches, and that it goes along the index."""
    execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params, many, context)
    (found,) = context["cursor"].fetchone()
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    assert "Seq Scan" not in str(plan)
    plans.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    return execute(sql, params, many, context)
