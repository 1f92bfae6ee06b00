"""Completing a batch takes as long as the batch is, whatever PostgreSQL believes of the lanes and of the outbox."""

from collections.abc import Callable

import pytest
from django.db import transaction

from django_dlq.models import OutboxMessage, PublishedMessage, RelayLane, postgresql
from django_dlq.models.postgresql import Fence
from tests.postgresql import statistics
from tests.postgresql.filling import OUTBOX, fill_outbox
from tests.postgresql.plans import plans_of

ROWS, BATCH = 20_000, 2000


def move(ids: list[int], fence: Fence) -> int:
    places = [(pk, pk % 4, pk) for pk in ids]
    return postgresql.move(OutboxMessage, PublishedMessage, places, using="default", fence=fence)


def delete(ids: list[int], fence: Fence) -> int:
    return postgresql.delete(OutboxMessage, ids, using="default", fence=fence)


# Emptying the tables afterwards, or other tests would meet the dead rows.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("complete", [move, delete])
@pytest.mark.parametrize("step", [1, 10], ids=["side by side", "far apart"])
@pytest.mark.parametrize("just_empty", [False, True])
def test_each_row_is_looked_at_once_though_nobody_had_a_lane_when_they_were_analysed(
    complete: Callable[[list[int], Fence], int], step: int, just_empty: bool
) -> None:
    RelayLane.objects.all().delete()
    RelayLane.objects.bulk_create([RelayLane(lane=lane) for lane in range(64)])
    with transaction.atomic():
        statistics.analyse(RelayLane)
        RelayLane.objects.update(owner="me", epoch=1)
        if just_empty:
            statistics.remember(OutboxMessage, lambda table: None)
            fill_outbox(ROWS)
        else:
            fill_outbox(ROWS)
            statistics.analyse(OutboxMessage)
        ids = list(OutboxMessage.objects.order_by("id").values_list("id", flat=True)[::step][:BATCH])

        (plan,) = plans_of(lambda: complete(ids, Fence("me", range(64), [1] * 64)))

    reading = [
        node for node in plan.nodes if node.get("Relation Name") == OUTBOX and node["Node Type"] != "ModifyTable"
    ]
    # What moves is read a second time, where it lay.
    again = [node for node in reading if node["Node Type"] == "Tid Scan"]
    assert len(reading) - len(again) == 1
    assert len(again) == (complete is move)
    assert {(node["Actual Loops"], node["Actual Rows"]) for node in reading} == {(1, BATCH)}
    assert not [node for node in plan.nodes if node["Node Type"] == "Nested Loop" and node["Actual Rows"] >= BATCH]
    assert OutboxMessage.objects.count() == ROWS - BATCH
