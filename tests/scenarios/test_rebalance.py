"""Partitions that change hands while a handler takes its time."""

import time
from collections import Counter

import pytest

from django_dlq.models import InboxMessage
from tests.scenarios import GO, WAITS
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.shop.models import Box, Order

MAX_POLL = 6.0
"""Seconds: what these processes have as max.poll.interval.ms."""


@pytest.mark.kafka
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_handler_longer_than_max_poll_interval_keeps_its_place_and_a_rebalance_meanwhile_waits_for_nobody(
    kafka: str, make_stage: MakeStage, concurrency: int
) -> None:
    stage = make_stage(kafka, partitions=4)
    environment = {"SCENARIO_MAX_POLL": str(int(MAX_POLL * 1000)), "SCENARIO_CONCURRENCY": str(concurrency)}
    stage.publish("long", key="long", tag=WAITS)
    with stage.running("dlq_relay"):
        first = stage.manage("dlq_consume", **environment)
        stage.until(lambda: first.has_said("waiting for go"))
        began = time.monotonic()
        second = stage.manage("dlq_consume", **environment)
        orders = [f"order-{number}" for number in range(40)]
        for order in orders:
            stage.publish(order, key=order)
        # The second has its share, and packs it, while the first is still at its long one.
        stage.until(lambda: stage.boxes() > 0)
        stage.until(lambda: time.monotonic() > began + MAX_POLL + 2)
        Order.objects.create(number=GO)
        stage.until(lambda: stage.is_consumed() and stage.outbox_is_empty())
    for consumer in (first, second):
        assert not consumer.has_said("MAXPOLL")
        consumer.stop()
        assert consumer.process.returncode == 0, consumer
    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(["long", *orders])


@pytest.mark.kafka
@pytest.mark.django_db(transaction=True)
def test_while_members_come_and_go_under_a_backlog_nothing_is_passed_over(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_BATCH_SIZE", "20")
    stage = make_stage(kafka, partitions=8)
    feed = Feed(stage, failures=0, repeats=0)
    feed.send(8000)
    members = [stage.manage("dlq_consume") for _ in range(2)]
    for number in range(8):
        packed = stage.boxes()
        members.append(stage.manage("dlq_consume"))  # more of them
        stage.until(lambda packed=packed: stage.boxes() > packed)  # type: ignore[misc]  # a value of this turn
        if number % 2:  # and fewer
            for _ in range(2):
                members.pop(0).process.terminate()
        time.sleep(0.5)  # nothing is awaited here: it is the pace
        feed.send(250)
    stage.until(stage.is_consumed)
    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(feed.orders)
    assert InboxMessage.objects.count() == len(feed.orders)
