"""Groups in which the broker itself hands out the partitions: `group.protocol=consumer` (KIP-848)."""

from collections import Counter

import pytest

from django_dlq.models import InboxMessage, TakenPartition
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.shop.models import Box

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]

SECONDS = 200.0
"""A broker without the settings of tests/services/kafka.py misses a member that was killed after 45."""


def test_when_one_of_two_members_is_killed_the_other_takes_over_and_each_message_is_handled_once(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_KIP848", "1")
    monkeypatch.setenv("SCENARIO_CONCURRENCY", "2")
    stage = make_stage(kafka, partitions=4)
    feed = Feed(stage, failures=0)
    killed, survivor = stage.manage("dlq_consume"), stage.manage("dlq_consume")

    def both_are_at_work() -> bool:
        feed.send(50)
        return TakenPartition.objects.values("owner").distinct().count() == 2

    stage.until(both_are_at_work)
    feed.send(1000)
    killed.process.kill()
    feed.send(1000)
    stage.until(stage.is_consumed, seconds=SECONDS)
    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(feed.orders)
    assert InboxMessage.objects.count() == len(feed.orders)
    survivor.stop()
    assert survivor.process.returncode == 0, survivor
