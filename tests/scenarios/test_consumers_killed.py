"""Consumers under load, of which one is killed again and again."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from django_dlq.models import DeadLetter, InboxMessage
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.scenarios.load import by_key
from tests.scenarios.stage import Nursery
from tests.shop.models import Box

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True), pytest.mark.timeout(480)]

PACE = 2.0
"""Seconds from one death to the next."""


def test_of_three_consumers_one_is_killed_every_two_seconds_for_a_minute_and_each_effect_is_there_once(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_CONCURRENCY", "2")
    stage = make_stage(kafka, partitions=6)
    feed, nursery = Feed(stage), stage.nursery("dlq_consume")
    consumers = [nursery.bear() for _ in range(3)]
    with stage.running("dlq_retry"):
        killed_in_turn(nursery, consumers, times=30, meanwhile=lambda: feed.send(667))
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
    feed, nursery = Feed(stage, keys=20, failures=0), stage.nursery("dlq_consume")
    consumers = [nursery.bear() for _ in range(2)]
    killed_in_turn(nursery, consumers, times=8, meanwhile=lambda: feed.send(500))
    stage.until(stage.is_consumed, seconds=120)
    assert not DeadLetter.objects.exists()
    assert by_key(Box.objects.order_by("id").values_list("order", flat=True)) == by_key(feed.orders)


def killed_in_turn(nursery: Nursery, children: list[int], *, times: int, meanwhile: Callable[[], object]) -> None:
    """Kill one of them every two seconds, and start another in its place."""
    began = time.monotonic()
    for number in range(times):
        meanwhile()
        # The pace is the scenario: nothing is awaited here.
        time.sleep(max(0.0, began + (number + 1) * PACE - time.monotonic()))
        place = number % len(children)
        os.kill(children[place], signal.SIGKILL)
        children[place] = nursery.bear()
