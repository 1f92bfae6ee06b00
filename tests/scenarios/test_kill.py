"""`kill -9`, before each single act of a machine, one after the other, until it gets through its work alive.

That is minutes of starting processes. So elsewhere than on PostgreSQL it is every third act, and others each time.
"""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from django.db import connection

from django_dlq.models import DeadLetter, PublishedMessage, State
from tests.scenarios import STUMBLES
from tests.scenarios.conftest import MakeStage
from tests.scenarios.stage import once_each, order_of
from tests.shop.models import Box

# Every act has its own process that dies, and another that goes on: some minutes on a busy machine.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


def acts() -> Iterator[int]:
    """Return before which acts to kill, the first being 1."""
    return count(1) if is_whole() else count(random.randint(1, 3), 3)


def is_whole() -> bool:
    return connection.vendor == "postgresql"


@pytest.mark.kafka
def test_a_relay_killed_at_any_step_loses_nothing_and_sends_again_with_the_same_id(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka)
    good: list[str] = []
    late: list[str] = []
    for number in acts():
        good += [f"{number}-a", f"{number}-b", f"{number}-c"]
        late += [f"{number}-late"]
        stage.publish(*good[-3:-1])
        stage.publish(late[-1], expires_in=timedelta(0))
        stage.publish(good[-1])
        if not stage.manage_until_act(number, "dlq_relay", "--once").was_killed():
            break
        stage.let_leases_run_out()
        with stage.running("dlq_relay"):
            stage.until(stage.outbox_is_empty)

    messages = stage.messages()
    assert [order_of(message) for message in once_each(messages)] == good  # each, with one id, in order
    assert len(messages) > len(good) or not is_whole()  # some did die between sending and marking
    assert Counter(PublishedMessage.objects.values_list("message_key", flat=True)) == Counter(good)
    assert Counter(DeadLetter.objects.values_list("message_key", flat=True)) == Counter(late)


@pytest.mark.kafka
def test_a_consumer_killed_at_any_step_loses_nothing_and_has_its_effects_once(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka, partitions=1)
    packed: list[str] = []
    stumbled: list[str] = []
    with stage.running("dlq_relay"):
        for number in acts():
            packed += [f"{number}-packed"]
            stumbled += [f"{number}-stumbled"]
            stage.publish(stumbled[-1], tag=STUMBLES)
            stage.publish(packed[-1])
            stage.until(stage.outbox_is_empty)
            doomed = stage.manage_until_act(number, "dlq_consume", "--no-retries")
            stage.until(lambda doomed=doomed: doomed.has_ended or stage.is_consumed())
            doomed.stop()
            if not doomed.was_killed():
                break
            with stage.running("dlq_consume --no-retries"):
                stage.until(stage.is_consumed)

    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(packed)
    letters = DeadLetter.objects.filter(state=State.RETRYING)
    assert Counter(letters.values_list("message_key", flat=True)) == Counter(stumbled)
    if is_whole():
        assert max(letters.values_list("attempts", flat=True)) > 1  # some did die between a letter and its offset

    for number in acts():
        if not stage.manage_until_act(number, "dlq_retry", "--once").was_killed():
            break
    with stage.running("dlq_retry"):  # one round takes a second at most, and perhaps not all there is
        stage.until(lambda: not DeadLetter.objects.open().exists())
    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(packed + stumbled)
    assert not DeadLetter.objects.open().exists()
