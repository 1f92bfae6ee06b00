"""Four relays under load for a minute, and each second one of them is killed."""

import itertools
import time

import pytest

from tests.scenarios.conftest import MakeStage
from tests.scenarios.lanes import are_shared, watching
from tests.scenarios.stage import Actor, Stage
from tests.scenarios.traffic import Traffic

SECONDS = 60
BATCH = 50
IN_HAND = 3 * BATCH
"""What one that is killed may have sent without having marked it: a batch that is sent, and two that are completed."""


@pytest.mark.kafka
@pytest.mark.django_db(transaction=True)
def test_of_four_relays_one_is_killed_each_second_for_a_minute_and_all_arrives_in_order(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_BATCH", str(BATCH))
    stage = make_stage(kafka, lease=2)
    relays = [stage.manage("dlq_relay") for _ in range(4)]
    stage.until(lambda: are_shared(*relays))
    traffic = Traffic(stage, keys=100)
    with watching() as watch, traffic.flowing(pause=0.06):
        kills = kill_one_each_second(stage, relays)
    stage.until(stage.outbox_is_empty)
    stage.until(lambda: are_shared(*relays))
    tally = traffic.check()
    assert kills >= SECONDS - 5
    assert len(set(watch.epochs.values())) > kills / 2  # lanes did move, all the time
    assert tally.repeats <= kills * IN_HAND


def kill_one_each_second(stage: Stage, relays: list[Actor]) -> int:
    """Kill the relays in turn, and start another in the place of each; return how many died."""
    began = time.monotonic()
    for number in itertools.count():
        # The pace is the scenario: nothing is awaited here.
        time.sleep(max(0.0, began + number + 1 - time.monotonic()))
        if time.monotonic() - began > SECONDS:
            return number
        place = number % len(relays)
        relays[place].process.kill()
        relays[place] = stage.manage("dlq_relay")
    raise AssertionError
