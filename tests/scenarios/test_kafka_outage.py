"""Kafka goes away for half a minute, under load."""

import time

import pytest

from tests.scenarios.conftest import MakeStage
from tests.scenarios.load import assert_all_is_well, load, pack_a_hundred
from tests.scenarios.private_services import private
from tests.services.kafka import Kafka

OUTAGE = 30.0


@pytest.mark.kafka
@pytest.mark.django_db(transaction=True)
def test_thirty_seconds_without_kafka_cost_only_time(kafka: str, make_stage: MakeStage) -> None:
    with private(Kafka) as broker:
        stage = make_stage(broker.url)
        with stage.running("dlq_relay", "dlq_consume"):
            with load(stage):
                pack_a_hundred(stage)
                broker.stop()
                time.sleep(OUTAGE)  # nothing is awaited here: it is the outage
                broker.start()
                pack_a_hundred(stage)
            stage.until(lambda: stage.outbox_is_empty() and stage.is_consumed())
        assert_all_is_well(stage)
