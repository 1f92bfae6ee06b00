"""Looking for what is outdated reads a page of a long table, not the table."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from django_dlq import outbox_pruning
from django_dlq.debezium import slot_name
from django_dlq.models import InboxMessage, OutboxMessage, PublishedMessage
from django_dlq.retention import ROWS_PER_STEP
from tests.letters import consumer_letter
from tests.postgresql.filling import empty, fill_history, fill_outbox
from tests.postgresql.plans import Plan, plans_of
from tests.postgresql.statistics import analyse, forget

ROWS = 30_000
analysed = pytest.mark.parametrize("analysed_at", [None, 0, 10, ROWS])


@pytest.mark.django_db
@analysed
def test_a_look_at_a_history_where_nothing_is_outdated_reads_one_page(analysed_at: int | None) -> None:
    empty(PublishedMessage._meta.db_table)
    forget(PublishedMessage)
    if analysed_at is not None:
        fill_history(1, analysed_at)
        analyse(PublishedMessage)
    fill_history((analysed_at or 0) + 1, ROWS)

    def look() -> None:
        page = PublishedMessage.objects.page(timedelta(days=7), after=0, size=ROWS_PER_STEP)
        assert (page.outdated, page.goes_on) == ([], False)

    check(plans_of(look))


@pytest.mark.django_db
@analysed
def test_a_look_at_an_outbox_where_nothing_is_outdated_reads_one_page(
    analysed_at: int | None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed = {slot_name(connection.settings_dict["NAME"], "default"): 0}
    monkeypatch.setattr(outbox_pruning, "slots_in_order", lambda using: confirmed)
    settings.DLQ_OUTBOX_RETENTION = timedelta(days=7)
    empty(OutboxMessage._meta.db_table)
    forget(OutboxMessage)
    if analysed_at is not None:
        fill_outbox(analysed_at)
        analyse(OutboxMessage)
    fill_outbox(ROWS - (analysed_at or 0))

    def look() -> None:
        assert outbox_pruning.prune_outbox(ROWS_PER_STEP) == 0

    check(plans_of(look))


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


def check(plans: list[Plan]) -> None:
    (plan,) = plans
    assert "Seq Scan" not in plan.kinds
    assert "Sort" not in plan.kinds
    assert plan.pages < ROWS_PER_STEP / 2
