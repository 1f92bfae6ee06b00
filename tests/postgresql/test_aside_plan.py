"""What is urgent or delayed and may not go, or is gone, is not gone through for each page."""

from typing import Any

import psycopg
import pytest
from django.db import transaction

from django_dlq.models import OutboxMessage
from django_dlq.models.asides import Delayed, Urgent
from django_dlq.models.outbox_reading import Reading, Scope
from django_dlq.relaying import aside
from django_dlq.relaying.aside import Lines
from tests.postgresql import statistics
from tests.postgresql.filling import OUTBOX, fill_outbox
from tests.postgresql.plans import plans_of
from tests.postgresql.test_relay_plan import elsewhere

SENT, STAYS, ORDINARY, PAGE = 40_000, 40_000, 20_000, 2000
SCOPE = Scope(topics=frozenset(["paused"]), closed=frozenset(["down"]))


@pytest.mark.django_db(transaction=True)
def test_what_stays_and_what_is_gone_is_gone_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "REST", (300.0, 300.0))
    with elsewhere() as other, elsewhere() as reader:
        other.execute(f"ALTER TABLE {OUTBOX} SET (autovacuum_enabled = false)")
        try:
            fill(other)
            reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT 1")
            other.execute(f"DELETE FROM {OUTBOX} WHERE topic = 'sent'")
            with transaction.atomic():
                statistics.analyse(OutboxMessage)
                check()
            reader.execute("ROLLBACK")
        finally:
            other.execute(f"ALTER TABLE {OUTBOX} RESET (autovacuum_enabled)")


def fill(other: "psycopg.Connection[Any]") -> None:
    for topic, rows in [("sent", SENT), ("paused", STAYS), ("down", STAYS)]:
        for delay in (None, "-1 hour"):
            fill_outbox(rows // 2, delay=delay)
            urgent = "" if delay else ", priority = 5"
            broker = "down" if topic == "down" else "default"
            other.execute(f"UPDATE {OUTBOX} SET topic = '{topic}', broker = '{broker}'{urgent} WHERE topic = 'orders'")
    fill_outbox(ORDINARY)


def check() -> None:
    reading, lines = Reading(SCOPE, PAGE, using="default"), Lines()
    newest = reading.newest(0)
    (whole,) = plans_of(lambda: reading.page(newest - ORDINARY))
    assert whole.pages > 1000  # as if everything were read with each page
    lines.read(reading, 0)

    news = plans_of(lambda: lines.read(reading, newest))
    assert sum(plan.pages for plan in news) < 50
    everything = Reading(Scope(), PAGE, using="default")
    for line, index in [(Urgent(), "dlq_outbox_urgent"), (Delayed(), "dlq_outbox_delayed")]:
        rows, _ = line.read(everything, None)
        place = line.place_of(rows[-1], "default")
        plans = plans_of(lambda line=line, place=place: line.read(everything, place))  # type: ignore[misc]
        assert all(plan.indexes == {index} for plan in plans), plans
        assert not any(plan.kinds & {"Seq Scan", "Sort", "Bitmap Heap Scan"} for plan in plans)
