"""Kafka stores messages, and its answer does not come in time."""

import os
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from django.db import transaction
from django.test import override_settings

from django_dlq import outbox, signals
from django_dlq.models import DeadLetter, OutboxMessage
from django_dlq.relay import Relay
from django_dlq.testing.mock_kafka import MockKafka
from tests.scenarios.kafka_proxy import KafkaProxy
from tests.services.process import wait_for

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]

REAL_KAFKA = os.environ.get("DLQ_TEST_KAFKA")
EACH = 8
PARTITIONS = 2
TIMEOUT = timedelta(seconds=2)

Silence = Callable[[bool], object]
"""Makes Kafka store and say nothing, or answer again."""


@contextmanager
def mock_cluster(topic: str) -> Iterator[tuple[str, Silence]]:
    with MockKafka() as kafka:
        kafka.create_topic(topic, PARTITIONS)
        yield kafka.bootstrap, lambda is_silent: kafka.delay(60_000 if is_silent else 0)


@contextmanager
def real_kafka_behind_a_proxy(topic: str) -> Iterator[tuple[str, Silence]]:
    assert REAL_KAFKA is not None
    admin = AdminClient({"bootstrap.servers": REAL_KAFKA})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(20)
    with KafkaProxy(REAL_KAFKA).running() as proxy:
        yield proxy.bootstrap, lambda is_silent: setattr(proxy, "is_silent", is_silent)


KAFKAS = [
    pytest.param(mock_cluster, id="mock"),
    pytest.param(
        real_kafka_behind_a_proxy,
        id="real",
        marks=[pytest.mark.kafka, pytest.mark.skipif(not REAL_KAFKA, reason="DLQ_TEST_KAFKA does not name a Kafka")],
    ),
]


@contextmanager
def relay_to(bootstrap: str) -> Iterator[tuple[Relay, list[object]]]:
    """Give a relay to this Kafka, and a list of the times when it or a topic of it did not answer."""
    troubles: list[object] = []

    def note(**told: object) -> None:
        troubles.append(told)

    backend = "django_dlq.brokers.kafka.KafkaBroker"
    brokers = {"default": {"BACKEND": backend, "OPTIONS": {"bootstrap.servers": bootstrap}}}
    signals.broker_unavailable.connect(note)
    signals.topic_unavailable.connect(note)
    relay = Relay()
    try:
        with override_settings(DLQ_BROKERS=brokers, DLQ_PUBLISH_TIMEOUT=TIMEOUT):
            yield relay, troubles
            relay.close()
    finally:
        signals.broker_unavailable.disconnect(note)
        signals.topic_unavailable.disconnect(note)


def publish(topic: str, number: int, *, keys: str) -> dict[bytes, list[bytes]]:
    """Publish so many messages for each key, and return their ids by key, in order."""
    ids: dict[bytes, list[bytes]] = defaultdict(list)
    for _ in range(number):
        for key in keys:
            with transaction.atomic():
                row = outbox.publish(topic, {"a": "message"}, key=key)
            ids[key.encode()].append(row.message_id.encode())
    return ids


def send_all(relay: Relay) -> None:
    """Let the relay work until it has nothing to do."""
    assert wait_for(lambda: relay.run_once() == 0 and not OutboxMessage.objects.exists(), seconds=30)


def read(bootstrap: str, topic: str) -> list[Message]:
    """Read the whole topic, each partition in its order."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "-", "log_level": 0, "enable.auto.commit": False})
    places = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
    ends = [reader.get_watermark_offsets(place, timeout=20)[1] for place in places]
    reader.assign(places)
    found: list[Message] = []

    def has_read_all() -> bool:
        found.extend(reader.consume(500, 0.2))
        return len(found) >= sum(ends)

    assert wait_for(has_read_all, seconds=30, pause=0)
    reader.close()
    return found


def identity(message: Message) -> bytes:
    return dict(message.headers())["id"]


@pytest.mark.parametrize("a_kafka", KAFKAS)
def test_what_was_stored_without_an_answer_is_sent_again_with_its_id_and_in_its_order(a_kafka):
    topic = f"unanswered-{uuid.uuid4().hex[:12]}"
    with a_kafka(topic) as (bootstrap, silence), relay_to(bootstrap) as (relay, troubles):
        # The client is connected, and the broker known to be well.
        publish(topic, 1, keys="z")
        send_all(relay)
        ids = publish(topic, EACH, keys="abcde")
        silence(True)
        assert relay.run_once() == 0
        assert OutboxMessage.objects.count() == 5 * EACH
        silence(False)
        send_all(relay)
        arrived = [message for message in read(bootstrap, topic) if message.key() != b"z"]
    copies = Counter(map(identity, arrived))
    assert set(copies) == {message_id for of_key in ids.values() for message_id in of_key}
    # Each was stored though nobody said so, and is there no more often than it was sent.
    assert min(copies.values()) == 2
    assert max(copies.values()) <= 1 + len(troubles)
    for key, of_key in ids.items():
        assert list(dict.fromkeys(identity(message) for message in arrived if message.key() == key)) == of_key
    assert not DeadLetter.objects.exists()
