"""An administrator, or a failover, ends the relays' connections again and again, under load."""

import pytest
from django.db import connection

from django_dlq.models import PublishedMessage
from tests.scenarios.conftest import MakeStage
from tests.scenarios.lanes import are_shared
from tests.scenarios.traffic import Traffic

ROUNDS = 10
TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@pytest.mark.kafka
@pytest.mark.django_db(transaction=True)
def test_relays_whose_connections_are_terminated_again_and_again_go_on_and_lose_nothing(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka, lease=3)
    relays = [stage.manage("dlq_relay"), stage.manage("dlq_relay")]
    stage.until(lambda: are_shared(*relays))
    traffic, terminated = Traffic(stage), 0
    for _ in range(ROUNDS):
        sent = PublishedMessage.objects.count()
        for _ in range(10):
            traffic.publish(20)
        terminated += terminate_all_others()
        stage.until(lambda sent=sent: PublishedMessage.objects.count() > sent)  # they are at work again
    assert terminated > ROUNDS
    stage.until(stage.outbox_is_empty)
    stage.until(lambda: are_shared(*relays))
    assert not any(relay.has_ended for relay in relays)
    traffic.check()


def terminate_all_others() -> int:
    """End every connection to this database but ours, and return how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(TERMINATE)
        return int(cursor.fetchone()[0])
