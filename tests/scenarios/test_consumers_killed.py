"""Consumers under load, of which one is killed again and again."""

import time
from collections import Counter, deque
from collections.abc import Callable

import pytest

from django_dlq.models import DeadLetter, InboxMessage
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.scenarios.load import by_key
from tests.scenarios.stage import Stage
from tests.shop.models import Box

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480)]

PACE = 2.0
"""Seconds from one death to the next."""


def test_of_three_consumers_one_is_killed_every_two_seconds_for_a_minute_and_each_effect_is_there_once(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_CONCURRENCY", "2")
    stage = make_stage(kafka, partitions=6)
    feed = Feed(stage)
    with stage.running("dlq_retry"):
        consumers_killed_in_turn(stage, 3, times=30, meanwhile=lambda: feed.send(667))
        stage.until(stage.is_consumed, seconds=240)
        stage.until(lambda: not DeadLetter.objects.open().exists())
    assert len(feed.orders) > 20_000
    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(feed.orders)
    assert InboxMessage.objects.count() == len(feed.orders)
    assert DeadLetter.objects.count() > 500  # five of a hundred did fail


def test_each_key_keeps_its_order_with_eight_threads_in_consumers_that_are_killed(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_CONCURRENCY", "8")
    stage = make_stage(kafka, partitions=4)
    feed = Feed(stage, keys=20, failures=0)
    consumers_killed_in_turn(stage, 2, times=8, meanwhile=lambda: feed.send(500))
    stage.until(stage.is_consumed, seconds=120)
    assert not DeadLetter.objects.exists()
    assert by_key(Box.objects.order_by("id").values_list("order", flat=True)) == by_key(feed.orders)


def consumers_killed_in_turn(stage: Stage, consumers: int, *, times: int, meanwhile: Callable[[], object]) -> None:
    """Run so many consumers, kill one of them every two seconds, and start another in its place."""
    running = deque(stage.manage("dlq_consume") for _ in range(consumers))
    began = time.monotonic()
    for number in range(times):
        meanwhile()
        # The pace is the scenario: nothing is awaited here.
        time.sleep(max(0.0, began + (number + 1) * PACE - time.monotonic()))
        running.popleft().process.kill()
        running.append(stage.manage("dlq_consume"))
