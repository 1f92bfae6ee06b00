"""How fast one relay process sends an outbox that is full."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import confluent_kafka
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from benchmarks import database, raw
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, rates_in_turns
from benchmarks.publish import body
from django_dlq import outbox
from django_dlq.relay import Relay

MESSAGES = 10_000
WARM_UP = 500


def measure(cluster: Cluster, rounds: int) -> list[Comparison]:
    """Let the relay with history, the relay without, and the loop by hand take turns, batch by batch."""
    topic = cluster.topic()
    relay = Relay()
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "enable.idempotence": True})
    with database.by_hand() as hand:
        acts: list[Callable[[], int]] = [
            relay.run_once,
            partial(_without_history, relay),
            partial(raw.relay, hand, producer),
        ]
        taken = [_round(acts, topic) for _ in range(rounds)]
    statements = _statements(relay, topic)
    relay.close()
    kept, deleted, by_hand = zip(*taken, strict=True)
    note = f"with history (the default), {cluster.name} Kafka, {statements} statements per batch"
    without = f"without history, {cluster.name} Kafka"
    return [
        Comparison(name=f"relay, {cluster.name}", unit="msg/s", ours=kept, raw=by_hand, note=note),
        Comparison(name=f"relay, {cluster.name}, no history", unit="msg/s", ours=deleted, raw=by_hand, note=without),
    ]


def _round(acts: Sequence[Callable[[], int]], topic: str) -> list[float]:
    database.empty()
    _fill(topic, WARM_UP * len(acts))
    rates_in_turns(acts, WARM_UP)  # connections, metadata, the lease
    _fill(topic, MESSAGES * len(acts))
    database.settle()
    return rates_in_turns(acts, MESSAGES)


def _without_history(relay: Relay) -> int:
    with override_settings(DLQ_PUBLISHED_RETENTION=timedelta(0)):
        return relay.run_once()


def _fill(topic: str, messages: int) -> None:
    with transaction.atomic():
        outbox.publish_many(outbox.Message(topic, body(n), key=str(n)) for n in range(messages))


def _statements(relay: Relay, topic: str) -> int:
    """Count what the relay says to the database for one batch, BEGIN and COMMIT too."""
    _fill(topic, WARM_UP)
    with CaptureQueriesContext(connection) as captured:
        relay.run_once()
    return len(captured)
