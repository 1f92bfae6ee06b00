"""The clocks of the relays' machines are wrong, by an hour, in both directions."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models import F

from django_dlq.models import DatabaseNow, DeadLetter, OutboxMessage, PublishedMessage, RelayLane, in_future
from tests.scenarios.conftest import MakeStage
from tests.scenarios.lanes import LANES, are_shared, shares, watching
from tests.scenarios.stage import order_of
from tests.services.wrong_clock import can_be_wrong, wrong_clock

LEASE = 3
HOUR = timedelta(hours=1)


@pytest.mark.kafka
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not can_be_wrong(), reason="no compiler: make services")
def test_leases_delays_and_expiry_go_by_the_clock_of_the_database(
    kafka: str, make_stage: MakeStage, tmp_path: Path
) -> None:
    stage = make_stage(kafka, lease=LEASE)
    # An hour less a minute where it is ahead: Kafka itself refuses what is stamped more than an hour in its future.
    ahead = stage.manage("dlq_relay", **wrong_clock(HOUR - timedelta(minutes=1), tmp_path))
    behind = stage.manage("dlq_relay", **wrong_clock(-HOUR, tmp_path))
    stage.until(lambda: are_shared(ahead, behind))
    keys = [f"key-{number}" for number in range(20)]  # lanes of both
    with watching() as watch:
        for key in keys:
            stage.publish(f"{key} at once", key=key, expires_in=timedelta(minutes=10))
            stage.publish(f"{key} soon", key=key, delay=timedelta(seconds=1.5))
            stage.publish(f"{key} never", key=key, delay=timedelta(minutes=10))
            stage.publish(f"{key} too late", key=key, expires_in=timedelta(0))
        stage.until(lambda: PublishedMessage.objects.count() == 40 and DeadLetter.objects.count() == 20)
        stage.until(lambda: are_shared(ahead, behind))
    assert len(set(watch.epochs.values())) == 2
    assert len(watch.epochs) == LANES  # nobody lost a lane in all this

    assert {order_of(message) for message in stage.messages()} == {
        f"{key} {when}" for key in keys for when in ("at once", "soon")
    }
    soon = PublishedMessage.objects.filter(message_key__endswith="soon")
    assert soon.filter(published_at__gte=F("created_at") + timedelta(seconds=1.5)).count() == 20
    assert {letter.message_key for letter in DeadLetter.objects.all()} == {f"{key} too late" for key in keys}
    assert OutboxMessage.objects.count() == 20
    held = RelayLane.objects.filter(leased_until__gt=DatabaseNow())
    assert held.filter(leased_until__lte=in_future(timedelta(seconds=LEASE))).count() == LANES

    ahead.kill()
    stage.until(lambda: shares(behind) == [LANES], seconds=LEASE + 3)
