"""Partitions that change hands while a handler takes its time."""

import time
from collections import Counter

import pytest

from tests.scenarios import GO, WAITS
from tests.scenarios.conftest import MakeStage
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
