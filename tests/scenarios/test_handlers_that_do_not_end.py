"""Handlers that hang, or take their process with them."""

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from django_dlq.models import DeadLetter, State
from tests.scenarios import DIES, GO, HANGS, WAITS, WAITS_AGAIN
from tests.scenarios.conftest import MakeStage
from tests.shop.models import Box, Order

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


def packed() -> Counter[str]:
    return Counter(Box.objects.values_list("order", flat=True))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_handler_that_dies_in_c_takes_nothing_with_it_and_nothing_is_done_twice(
    kafka: str, make_stage: MakeStage, tmp_path: Path, concurrency: int
) -> None:
    stage = make_stage(kafka, partitions=1)
    stage.publish("before", key="a")
    stage.publish("deadly", key="b", tag=DIES)
    stage.publish("after", key="c")
    environment = {"SCENARIO_DEATH": str(tmp_path / "death"), "SCENARIO_CONCURRENCY": str(concurrency)}
    with stage.running("dlq_relay"):
        stage.until(stage.outbox_is_empty)
    first = stage.manage("dlq_consume", **environment)
    stage.until(lambda: first.has_ended)
    assert first.process.returncode == 3
    assert "deadly" not in packed()

    stage.manage("dlq_consume", **environment)
    stage.until(stage.is_consumed)
    assert packed() == Counter(["before", "deadly", "after"])
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_handler_that_hangs_ends_its_process_and_has_failed_once_and_its_retry_goes_well(
    kafka: str, make_stage: MakeStage, concurrency: int
) -> None:
    stage = make_stage(kafka, partitions=1)
    stage.publish("before", key="a")
    environment = {"SCENARIO_TIMEOUT": "2", "SCENARIO_GRACE": "0.5", "SCENARIO_CONCURRENCY": str(concurrency)}
    consumer = stage.manage("dlq_consume", "--no-retries", **environment)
    with stage.running("dlq_relay"):
        stage.until(lambda: packed() == Counter(["before"]))  # else it might still be in hand when the process ends
        stage.publish("hanging", key="b", tag=HANGS)
        stage.until(lambda: consumer.has_ended)
    assert consumer.process.returncode == 1, consumer
    assert consumer.has_said("does not end")
    letter = DeadLetter.objects.get()
    assert (letter.message_key, letter.attempts, letter.state) == ("hanging", 1, State.RETRYING)
    assert "threading.Event().wait()" in letter.traceback
    assert stage.is_consumed(), consumer  # its offset has passed, so that it does not hang the next process too

    with stage.running("dlq_retry"):
        stage.until(lambda: not DeadLetter.objects.open().exists())
    assert packed() == Counter(["before", "hanging"])


@pytest.mark.parametrize("concurrency", [1, 4])
def test_sigterm_waits_for_a_handler_no_longer_than_it_may_and_the_message_comes_again(
    kafka: str, make_stage: MakeStage, concurrency: int
) -> None:
    stage = make_stage(kafka, partitions=1)
    stage.publish("long", key="a", tag=WAITS)
    environment = {"SCENARIO_GRACE": "1", "SCENARIO_CONCURRENCY": str(concurrency)}
    with stage.running("dlq_relay"):
        stage.until(stage.outbox_is_empty)
    consumer = stage.manage("dlq_consume", **environment)
    stage.until(lambda: consumer.has_said("waiting for go"))
    consumer.stop()
    assert consumer.process.returncode == 1, consumer
    assert consumer.has_said("has not ended within 1.0 seconds")
    assert stage.members() == 0  # so that nobody waits for its session to run out

    Order.objects.create(number=GO)
    again = stage.manage("dlq_consume", **environment)
    stage.until(stage.is_consumed)
    again.stop()
    assert again.process.returncode == 0, again
    assert packed() == Counter(["long"])


@pytest.mark.parametrize("concurrency", [1, 4])
def test_after_a_second_sigterm_the_message_in_hand_comes_again(
    kafka: str, make_stage: MakeStage, concurrency: int
) -> None:
    stage = make_stage(kafka, partitions=1)
    stage.publish("long", key="a", tag=WAITS)
    environment = {"SCENARIO_CONCURRENCY": str(concurrency)}
    with stage.running("dlq_relay"):
        stage.until(stage.outbox_is_empty)
    consumer = stage.manage("dlq_consume", **environment)
    stage.until(lambda: consumer.has_said("waiting for go"))
    for _ in range(2):
        consumer.process.terminate()
        time.sleep(0.5)  # else the two are one
    assert consumer.process.wait(10) in (-signal.SIGTERM, 128 + signal.SIGTERM), consumer
    assert packed() == Counter()

    Order.objects.create(number=GO)
    stage.manage("dlq_consume", **environment)
    stage.until(stage.is_consumed)
    assert packed() == Counter(["long"])


def test_sigterm_lets_a_handler_finish_that_does_so_in_time(kafka: str, make_stage: MakeStage) -> None:
    stage = make_stage(kafka, partitions=1)
    stage.publish("long", key="a", tag=WAITS)
    with stage.running("dlq_relay"):
        stage.until(stage.outbox_is_empty)
    consumer = stage.manage("dlq_consume")
    stage.until(lambda: consumer.has_said("waiting for go"))
    consumer.process.terminate()
    Order.objects.create(number=GO)
    assert consumer.process.wait(30) == 0, consumer
    assert packed() == Counter(["long"])
    assert stage.is_consumed()


@pytest.mark.parametrize("concurrency", [1, 4])
def test_sigterm_waits_for_a_retry_beside_fresh_messages_no_longer_than_it_may(
    kafka: str, make_stage: MakeStage, concurrency: int
) -> None:
    stage = make_stage(kafka, partitions=1)
    stage.publish("again", key="a", tag=WAITS_AGAIN)
    environment = {"SCENARIO_GRACE": "1", "SCENARIO_CONCURRENCY": str(concurrency)}
    with stage.running("dlq_relay"):
        stage.until(stage.outbox_is_empty)
    consumer = stage.manage("dlq_consume", **environment)
    stage.until(lambda: consumer.has_said("again is waiting for go"))
    consumer.process.terminate()
    assert consumer.process.wait(15) == 1, consumer
    assert consumer.has_said("has not ended within 1.0 seconds")
    letter = DeadLetter.objects.get()
    assert (letter.state, letter.attempts) == (State.RETRYING, 1)

    Order.objects.create(number=GO)
    again = stage.manage("dlq_consume", **environment)
    stage.until(lambda: DeadLetter.objects.filter(state=State.RESOLVED).exists())
    again.stop()
    assert again.process.returncode == 0, again
    assert packed() == Counter(["again"])


def test_sigterm_lets_handlers_in_threads_and_the_retry_beside_them_finish_in_time(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka, partitions=1)
    for key, order in enumerate(["one", "two"]):
        stage.publish(order, key=str(key), tag=WAITS)
    stage.publish("again", key="a", tag=WAITS_AGAIN)
    with stage.running("dlq_relay"):
        stage.until(stage.outbox_is_empty)
    consumer = stage.manage("dlq_consume", SCENARIO_CONCURRENCY="4")
    stage.until(lambda: all(consumer.has_said(f"{order} is waiting for go") for order in ("one", "two", "again")))
    consumer.process.terminate()
    Order.objects.create(number=GO)
    assert consumer.process.wait(30) == 0, consumer
    assert packed() == Counter(["one", "two", "again"])
    assert DeadLetter.objects.get().state == State.RESOLVED
    assert stage.is_consumed()
