"""An operator lets a group read its topic anew."""

from collections import Counter

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from django_dlq.models import DeadLetter
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.scenarios.stage import SECONDS, Stage
from tests.shop.models import Box


@pytest.mark.kafka
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("concurrency", ["1", "8"])
def test_offsets_that_are_reset_to_the_beginning_have_nothing_handled_twice(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch, concurrency: str
) -> None:
    monkeypatch.setenv("SCENARIO_CONCURRENCY", concurrency)
    stage = make_stage(kafka)
    feed = Feed(stage)
    feed.send(1000)
    with stage.running("dlq_retry"):
        consume(stage)
        reset(stage)
        assert not stage.is_consumed()
        consume(stage)
        stage.until(lambda: not DeadLetter.objects.open().exists())
    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(feed.orders)


def consume(stage: Stage) -> None:
    with stage.running("dlq_consume"):
        stage.until(stage.is_consumed)


def reset(stage: Stage) -> None:
    places = [TopicPartition(stage.topic, place.partition, 0) for place in stage.partitions]
    admin = AdminClient({"bootstrap.servers": stage.kafka})
    [answer] = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(stage.group, places)]).values()
    answer.result(SECONDS)
