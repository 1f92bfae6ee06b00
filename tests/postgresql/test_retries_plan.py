"""The next retry of a group is found at once, however many retries of other groups are due before it."""

import json

import pytest
from django.db import connection

from django_dlq.models import DeadLetter

FILL = """
    INSERT INTO django_dlq_deadletter (
        message_id, message_key, topic, tag, headers, broker, state, source, "group", handler, error_class,
        error_message, traceback, fingerprint, release, holds_key, dependency, attempts, replays, next_attempt_at
    )
    SELECT n, n, 'orders', '', '[]', 'default', 'retrying', 'consumer',
        CASE WHEN n > 20000 THEN 'shipping' ELSE 'group-' || mod(n, 50) END, '', '', '', '', '', '', false, '', 1, 0,
        now() - (30000 - n) * interval '1 second'
    FROM generate_series(1, 20010) AS n
    """


@pytest.mark.django_db
def test_the_retries_of_a_group_wait_for_no_search_among_those_of_others() -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL)
        cursor.execute("ANALYZE django_dlq_deadletter")
    due = DeadLetter.objects.due().of_group("shipping")[:1]
    plan = json.loads(due.explain(analyze=True, buffers=True, format="json"))[0]["Plan"]

    assert [letter.message_key for letter in due] == ["20001"]
    assert "dlq_letter_group_due" in str(plan)
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20
