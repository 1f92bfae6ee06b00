"""Where only consumers run, they make the retries of their group, and share them without making any twice."""

import re
from collections import Counter

import pytest

from django_dlq.models import DeadLetter, State
from tests.scenarios import STUMBLES
from tests.scenarios.conftest import MakeStage
from tests.shop.models import Box

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]

ORDERS = [f"order-{number}" for number in range(200)]


def test_consumers_of_a_group_make_each_retry_once_and_no_other_process_is_needed(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka)
    for order in ORDERS:
        stage.publish(order, key=order, tag=STUMBLES)
    with stage.running("dlq_relay", *[f"dlq_consume --group {stage.group}"] * 3):
        stage.until(lambda: DeadLetter.objects.filter(state=State.RESOLVED).count() == len(ORDERS))

    said = "\n".join(actor.log.read_text() for actor in stage.actors)
    attempts = Counter(re.findall(r"attempt \d+ of \S+", said))
    assert attempts == {f"attempt {n} of {order}": 1 for n in (1, 2) for order in ORDERS}
    assert sorted(Box.objects.values_list("order", flat=True)) == sorted(ORDERS)
    retrying = [actor for actor in stage.actors if "attempt 2" in actor.log.read_text()]
    assert len(retrying) > 1
