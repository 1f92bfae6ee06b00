"""A handler with a rate and a long backlog on Kafka, beside another handler of its group."""

import time
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from django.test import override_settings

from django_dlq import inbox
from django_dlq.conf import conf
from django_dlq.consumer import Consumer
from django_dlq.message import ReceivedMessage
from tests.scenarios.stage import SECONDS

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("registry")]

PARTITIONS = 4
BACKLOG, FREE = 10_000, 800


class Topic:
    """A topic of this test's own."""

    def __init__(self, kafka: str, name: str) -> None:
        self.kafka, self.name = kafka, f"{name}-{uuid.uuid4()}"
        admin = AdminClient({"bootstrap.servers": kafka})
        admin.create_topics([NewTopic(self.name, PARTITIONS, 1)])[self.name].result(SECONDS)
        self.handled: list[float] = []

    def fill(self, count: int) -> None:
        """Put so many messages into it, and wait until they are there."""
        producer = Producer({"bootstrap.servers": self.kafka})
        for number in range(count):
            producer.produce(self.name, b"{}", b"%d" % number)
        assert producer.flush(SECONDS) == 0


@pytest.fixture
def topics(kafka: str) -> Iterator[tuple[Topic, Topic]]:
    """Make a topic for slow messages, and one for others."""
    backend = {"BACKEND": "django_dlq.brokers.kafka.KafkaBroker", "OPTIONS": {"bootstrap.servers": kafka}}
    with override_settings(DLQ_BROKERS={"default": backend}):
        yield Topic(kafka, "slow"), Topic(kafka, "free")


def test_a_backlog_that_waits_for_its_rate_holds_up_no_other_handler_and_is_not_taken_into_memory(
    topics: tuple[Topic, Topic],
) -> None:
    slow, free = topics
    group = f"group-{uuid.uuid4()}"

    def handle_slowly(message: ReceivedMessage) -> None:
        slow.handled.append(time.monotonic())

    def handle(message: ReceivedMessage) -> None:
        free.handled.append(time.monotonic())

    inbox.handler(slow.name, group=group, rate_limit="1/s")(handle_slowly)
    inbox.handler(free.name, group=group)(handle)
    slow.fill(BACKLOG)
    consumer = Consumer(group)
    deadline, most, is_filled = time.monotonic() + SECONDS, 0, False
    try:
        while len(free.handled) < FREE:
            assert time.monotonic() < deadline
            consumer.run_once()
            most = max(most, len(consumer._hand))
            if most > conf.DLQ_CONSUMER_BATCH / 2 and not is_filled:  # there is no room for more
                is_filled = True
                free.fill(FREE)
    finally:
        consumer.close()
    assert len(slow.handled) <= 2 + free.handled[-1] - slow.handled[0]
    assert most <= (PARTITIONS + 1) * conf.DLQ_CONSUMER_BATCH
