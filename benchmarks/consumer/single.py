"""How fast one consumer process handles messages, one transaction each."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import confluent_kafka
from django.db import connection

from benchmarks import database, kafka, raw
from benchmarks.bodies import body
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, rates_in_turns
from django_dlq.conf import conf
from django_dlq.consumer import Consumer
from django_dlq.message import ReceivedMessage
from django_dlq.registry import Handler, handlers

MESSAGES = 2_000

RunOnce = Callable[[], int]


def consumer(rounds: int) -> Result:
    """Let the consumer and the loop by hand take turns, poll by poll, with the messages of one topic."""
    return Result(figures=[_measure(cluster, rounds) for cluster in kafka.each()])


def _measure(cluster: Cluster, rounds: int) -> Comparison:
    ours, by_hand = zip(*[_round(cluster) for _ in range(rounds)], strict=True)
    note = "one INSERT per handler"
    return Comparison(name=f"consumer, {cluster.name} Kafka", unit="msg/s", ours=ours, other=by_hand, note=note)


def _round(cluster: Cluster) -> list[float]:
    topic = _filled(cluster)
    with _ours(topic) as ours, _by_hand(cluster, topic) as by_hand:
        warm = [_until_first(act) for act in (ours, by_hand)]
        return rates_in_turns([ours, by_hand], MESSAGES - max(warm))


@contextmanager
def _ours(topic: str) -> Iterator[RunOnce]:
    group = f"ours-{uuid.uuid4().hex[:8]}"
    handlers.handlers = [Handler(function=_handle, topics=(topic,), group=group)]
    consumer = Consumer(group)
    try:
        yield consumer.run_once
    finally:
        consumer.close()


def _handle(message: ReceivedMessage) -> None:
    # The same statement as by hand: what the ORM takes in a handler is not the consumer's.
    with connection.cursor() as cursor:
        cursor.execute(raw.ORDER, (message.json()["order"],))


@contextmanager
def _by_hand(cluster: Cluster, topic: str) -> Iterator[RunOnce]:
    group = f"raw-{uuid.uuid4().hex[:8]}"
    options = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer({"bootstrap.servers": cluster.bootstrap, **options})
    consumer.subscribe([topic])
    with database.by_hand() as hand:
        try:
            yield partial(raw.consume, hand, consumer, group, conf.DLQ_CONSUMER_BATCH)
        finally:
            consumer.close()


def _until_first(run_once: RunOnce) -> int:
    """Join the group before the clock runs; return how many messages came with that."""
    while not (done := run_once()):
        pass
    return done


def _filled(cluster: Cluster) -> str:
    database.empty()
    database.settle()
    topic = cluster.topic()
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap})
    for number in range(MESSAGES):
        headers: Any = [("id", str(uuid.uuid4()).encode())]
        producer.produce(topic, json.dumps(body(number)).encode(), str(number), headers=headers)
    if left := producer.flush(30):
        raise RuntimeError(f"{left} messages could not be put into the topic")
    return topic
