"""Relays come and go, and the lanes with them."""

import pytest

from tests.scenarios.conftest import MakeStage
from tests.scenarios.lanes import LANES, are_shared, shares, watching
from tests.scenarios.stage import SECONDS
from tests.scenarios.traffic import Traffic

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


def test_lanes_move_to_a_relay_that_joins_and_from_one_that_leaves_and_nothing_is_sent_twice(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka, lease=SECONDS)  # so long that none runs out here
    traffic = Traffic(stage, keys=100)
    first = stage.manage("dlq_relay")
    stage.until(lambda: shares(first) == [LANES])
    with watching(), traffic.flowing():
        second = stage.manage("dlq_relay")
        stage.until(lambda: shares(second) != [0])
        stage.until(lambda: are_shared(first, second), seconds=3)
        third = stage.manage("dlq_relay")
        stage.until(lambda: shares(third) != [0])
        stage.until(lambda: are_shared(first, second, third), seconds=3)
        first.stop()
        stage.until(lambda: are_shared(second, third), seconds=3)
        third.stop()
        stage.until(lambda: shares(second) == [LANES], seconds=3)
    stage.until(stage.outbox_is_empty)
    assert traffic.check().repeats == 0


def test_the_lanes_of_a_relay_that_dies_pass_to_the_others_when_its_lease_is_over(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka, lease=3)
    traffic = Traffic(stage)
    relays = [stage.manage("dlq_relay") for _ in range(3)]
    stage.until(lambda: are_shared(*relays))
    with watching(), traffic.flowing():
        relays[0].kill()
        assert shares(relays[0]) != [0]
        stage.until(lambda: are_shared(*relays[1:]), seconds=3 + 2)
    stage.until(stage.outbox_is_empty)
    traffic.check()
