"""Consumers of an ordered handler that are killed while some messages of every key fail."""

from collections import Counter

import pytest

from django_dlq import deadletters
from django_dlq.models import DeadLetter, State, WaitingKey, count_parked
from tests.scenarios import REJECTED, STUMBLES, STUMBLES_TWICE
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.scenarios.load import by_key
from tests.scenarios.test_consumers_killed import consumers_killed_in_turn
from tests.shop.models import Box

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


def test_each_key_keeps_its_order_through_failures_retries_and_kills_and_waits_for_no_other_key(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_CONCURRENCY", "8")
    monkeypatch.setenv("SCENARIO_ORDERED", "1")
    stage = make_stage(kafka, partitions=4)
    feed = Feed(stage, keys=20, failures=0.1, stumbles=(STUMBLES, STUMBLES_TWICE))
    held = iter(range(1, 100))

    def send() -> None:
        feed.put(f"held:{next(held)}")
        feed.send(100)

    feed.put("held:0", REJECTED)
    consumers_killed_in_turn(stage, 2, times=4, meanwhile=send)
    stage.until(stage.is_consumed, seconds=120)
    # All but the key that waits for a person.
    stage.until(lambda: not DeadLetter.objects.open().exclude(key="held").exists(), seconds=120)
    assert by_key(Box.objects.order_by("id").values_list("order", flat=True)) == by_key(feed.orders)
    assert len(Counter(DeadLetter.objects.filter(events__kind="parked").values_list("key", flat=True))) > 10

    head = DeadLetter.objects.get(state=State.DEAD)
    assert (head.message_key, count_parked(head)) == ("held:0", 4)
    deadletters.discard(head, actor="ada", reason="decided")
    stage.until(lambda: not DeadLetter.objects.open().exists(), seconds=120)
    orders = Box.objects.filter(order__startswith="held").order_by("id").values_list("order", flat=True)
    assert list(orders) == [f"held:{number}" for number in range(1, 5)]
    assert not WaitingKey.objects.exists()
