"""The database is away for a while, under a running consumer; Kafka is not."""

import time
from collections import Counter

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from django_dlq.models import DeadLetter, InboxMessage
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.scenarios.private_services import private_database
from tests.services.postgresql import Postgresql
from tests.shop.models import Box

SECONDS = 20.0


@pytest.mark.kafka
def test_twenty_seconds_without_a_database_cost_only_time(
    kafka: str, make_stage: MakeStage, django_db_blocker: DjangoDbBlocker
) -> None:
    with django_db_blocker.unblock(), private_database(Postgresql, user="postgres") as server:
        stage = make_stage(kafka)
        feed = Feed(stage, failures=0)
        with stage.running("dlq_consume"):
            feed.send(400)
            stage.until(lambda: stage.boxes() > 100)
            server.kill()
            began = time.monotonic()
            connection.close()
            feed.send(100)
            # The length of the outage is the scenario: nothing is awaited here.
            time.sleep(max(0.0, began + SECONDS - time.monotonic()))
            assert stage.members() == 1
            assert not stage.is_consumed()
            server.start()
            stage.until(stage.is_consumed, seconds=120)
        assert Counter(Box.objects.values_list("order", flat=True)) == Counter(feed.orders)
        assert InboxMessage.objects.count() == len(feed.orders)
        assert not DeadLetter.objects.exists()
