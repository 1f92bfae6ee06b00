"""How fast one relay process sends an outbox that is full."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import confluent_kafka
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from benchmarks import database, raw
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, rate
from benchmarks.publish import body
from django_dlq import outbox
from django_dlq.relay import Relay

MESSAGES = 10_000
WARM_UP = 500


def measure(cluster: Cluster, rounds: int) -> list[Comparison]:
    """Let the relay with history, the relay without, and the loop by hand take turns."""
    topic = cluster.topic()
    relay = Relay()
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "enable.idempotence": True})
    taken: list[tuple[float, float, float]] = []
    with database.by_hand() as hand:
        loop = partial(raw.relay, hand, producer)
        for _ in range(rounds):
            kept = _drained(relay.run_once, topic)
            with override_settings(DLQ_PUBLISHED_RETENTION=timedelta(0)):
                deleted = _drained(relay.run_once, topic)
            taken.append((kept, deleted, _drained(loop, topic)))
    statements = _statements(relay, topic)
    relay.close()
    kept_rates, deleted_rates, raw_rates = zip(*taken, strict=True)
    note = f"with history (the default), {cluster.name} Kafka, {statements} statements per batch"
    without = f"without history, {cluster.name} Kafka"
    return [
        Comparison(name=f"relay, {cluster.name}", unit="msg/s", ours=kept_rates, raw=raw_rates, note=note),
        Comparison(
            name=f"relay, {cluster.name}, no history", unit="msg/s", ours=deleted_rates, raw=raw_rates, note=without
        ),
    ]


def _drained(run_once: Callable[[], int], topic: str) -> float:
    database.empty()
    _fill(topic, WARM_UP)
    rate(run_once, WARM_UP)  # connections, metadata, the lease
    _fill(topic, MESSAGES)
    database.settle()
    return rate(run_once, MESSAGES)


def _fill(topic: str, messages: int) -> None:
    with transaction.atomic():
        outbox.publish_many(outbox.Message(topic, body(n), key=str(n)) for n in range(messages))


def _statements(relay: Relay, topic: str) -> int:
    """Count what the relay says to the database for one batch, BEGIN and COMMIT too."""
    _fill(topic, WARM_UP)
    with CaptureQueriesContext(connection) as captured:
        rate(relay.run_once, WARM_UP)
    return len(captured)
