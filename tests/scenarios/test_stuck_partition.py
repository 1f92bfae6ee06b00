"""Where a part of one broker is in trouble, or all of it, everything else is sent as if nothing were."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from django.db import transaction
from django.test import override_settings

from django_dlq import metrics, outbox
from django_dlq.models import OutboxMessage, PublishedMessage
from django_dlq.relay import Relay
from django_dlq.testing.mock_kafka import MockKafka

pytestmark = pytest.mark.django_db(transaction=True)

TIMEOUT = 3.0
QUICK = 2.0
"""Seconds. What does not wait for a timeout takes less, also on a slow machine that makes a new client."""


def publish(topic: str, key: str | None = None, *, broker: str = "default") -> int:
    """Publish one message; return its id."""
    with transaction.atomic():
        return outbox.publish(topic, "x", key=key, broker=broker).pk


@contextmanager
def relay_with(**clusters: MockKafka) -> Iterator[Relay]:
    """Run a relay as the command does, with these brokers."""
    backend = "django_dlq.brokers.kafka.KafkaBroker"
    configured = {
        alias: {"BACKEND": backend, "OPTIONS": {"bootstrap.servers": kafka.bootstrap, "log_level": 0}}
        for alias, kafka in clusters.items()
    }
    with (
        override_settings(DLQ_BROKERS=configured, DLQ_PUBLISH_TIMEOUT=timedelta(seconds=TIMEOUT)),
        closing(Relay(pipelined=True)) as relay,
    ):
        yield relay


def until(relay: Relay, condition: Callable[[], bool], *, seconds: float = 30.0) -> list[float]:
    """Let the relay work until something is true; return how long each of its steps took."""
    steps: list[float] = []
    ends = time.monotonic() + seconds
    while not condition():
        began = time.monotonic()
        assert began < ends, f"it did not happen within {seconds:g} s"
        relay.run_once()
        steps.append(time.monotonic() - began)
        time.sleep(0.01)
    return steps


def are_sent(*ids: int) -> bool:
    """Tell whether these messages are in the history."""
    return PublishedMessage.objects.filter(pk__in=ids).count() == len(ids)


def is_empty() -> bool:
    """Tell whether nothing is left to send."""
    return not OutboxMessage.objects.exists()


def test_a_partition_without_a_leader_holds_up_its_own_messages_and_nobody_else() -> None:
    with MockKafka(brokers=2) as kafka, relay_with(default=kafka) as relay:
        for topic, leader in (("sick", 2), ("well", 1)):
            kafka.create_topic(topic, 1)
            kafka.lead(topic, 0, broker=leader)
        publish("sick", "a")
        publish("well", "b")
        until(relay, is_empty)
        kafka.down(2)
        stuck = [publish("sick", "a") for _ in range(3)]
        # On a busy machine it may seem first as if all of the broker were away.
        until(relay, lambda: "default (topic sick)" in relay.unavailable())
        assert [(outage.broker, outage.topic) for outage in metrics.outages()] == [("default", "sick")]

        for number in range(20):
            sent = publish("well", f"w{number}")
            assert max(until(relay, lambda sent=sent: are_sent(sent))) < QUICK  # type: ignore[misc]
        assert not PublishedMessage.objects.filter(pk__in=stuck).exists()

        kafka.up(2)
        until(relay, is_empty)
        offsets = PublishedMessage.objects.filter(pk__in=stuck).order_by("offset").values_list("pk", flat=True)
        assert list(offsets) == stuck
        assert metrics.outages() == ()


def test_a_broker_that_is_down_is_tried_again_and_again_and_no_other_waits_for_the_answers() -> None:
    with (
        MockKafka() as bad,
        MockKafka() as good,
        relay_with(default=bad, good=good) as relay,
    ):
        publish("t", "a")
        publish("t", "a", broker="good")
        until(relay, is_empty)
        bad.down()
        stuck = [publish("t", "a") for _ in range(3)]
        until(relay, lambda: bool(relay.unavailable()))

        tried = time.monotonic() + 2 * TIMEOUT
        steps: list[float] = []
        while time.monotonic() < tried:
            sent = publish("t", "a", broker="good")
            steps += until(relay, lambda sent=sent: are_sent(sent))  # type: ignore[misc]
        assert max(steps) < QUICK
        assert [(outage.broker, outage.topic) for outage in metrics.outages()] == [("default", "")]

        bad.up()
        until(relay, is_empty)
        offsets = PublishedMessage.objects.filter(pk__in=stuck).order_by("offset").values_list("pk", flat=True)
        assert list(offsets) == stuck
