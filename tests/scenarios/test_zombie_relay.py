"""A relay that hangs past its lease and then goes on, knowing nothing."""

import pytest

from django_dlq.models import OutboxMessage, RelayLane
from tests.scenarios.conftest import MakeStage
from tests.scenarios.lanes import LANES, are_shared, is_of, shares
from tests.scenarios.stage import Actor, Stage
from tests.scenarios.traffic import Traffic

MARKING = "DELETE outboxmessage"

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stage(kafka: str, make_stage: MakeStage) -> Stage:
    return make_stage(kafka, lease=3)


def test_what_a_zombie_marks_late_is_refused_while_the_new_owner_is_still_at_work(stage: Stage) -> None:
    traffic = Traffic(stage)
    zombie = stage.manage_until_frozen(MARKING, "dlq_relay")
    stage.until(lambda: shares(zombie) == [LANES])
    traffic.publish(100)
    stage.until(lambda: zombie.is_frozen)  # Kafka has them, and nobody knows
    # It stays the owner for as long as this test may take.
    heir = stage.manage_until_frozen(MARKING, "dlq_relay", SCENARIO_LEASE="300")
    stage.until(lambda: heir.is_frozen)  # it has sent some of them again, and has not marked them either
    taken_over = [lane.lane for lane in RelayLane.objects.all() if is_of(lane.owner, heir)]
    kept = set(OutboxMessage.objects.filter(lane__in=taken_over).values_list("pk", flat=True))
    zombie.thaw()
    stage.until(lambda: zombie.has_said("lost"))
    assert kept
    assert set(OutboxMessage.objects.filter(lane__in=taken_over).values_list("pk", flat=True)) == kept

    heir.thaw()
    stage.until(lambda: are_shared(zombie, heir))  # it works again, in new epochs
    traffic.publish(100)
    stage.until(stage.outbox_is_empty)
    assert traffic.check().repeats >= len(kept)


def test_a_relay_frozen_past_its_lease_again_and_again_loses_nothing_and_keeps_the_order(stage: Stage) -> None:
    relays = [stage.manage("dlq_relay"), stage.manage("dlq_relay")]
    stage.until(lambda: are_shared(*relays))
    traffic = Traffic(stage)
    with traffic.flowing():
        for zombie, heir in (relays, reversed(relays)):
            freeze_past_the_lease(stage, zombie, heir)
            zombie.thaw()
            stage.until(lambda: are_shared(*relays))
    stage.until(stage.outbox_is_empty)
    assert not any(relay.has_ended for relay in relays)
    traffic.check()


def freeze_past_the_lease(stage: Stage, zombie: Actor, heir: Actor) -> None:
    """Freeze one relay until the other has all lanes."""
    zombie.freeze()
    stage.until(lambda: shares(heir) == [LANES])
