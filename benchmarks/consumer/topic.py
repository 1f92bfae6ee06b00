"""A topic full of orders, and who reads it: our consumer, and a loop by hand."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import confluent_kafka

from benchmarks import database
from benchmarks.bodies import body
from benchmarks.kafka import Cluster
from benchmarks.raw import Connection
from django_dlq.conf import conf
from django_dlq.consumer import Consumer
from django_dlq.registry import Handler, handlers
from django_dlq.runner import collecting_rarely

MOST_QUEUED = 50_000
"""Messages that the client is given before they must have arrived; it takes no more than 100,000."""

RunOnce = Callable[[], int]
Loop = Callable[[Connection, confluent_kafka.Consumer, str, int], int]


def filled(cluster: Cluster, messages: int, *, keys: int | None = None, repeats: int = 1, partition: int = -1) -> str:
    """Return a topic with so many messages, each with a key of its own unless told otherwise.

    With `repeats`, all of them come once more after the last, in one partition if that is given.
    """
    database.empty()
    database.settle()
    topic = cluster.topic()
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap})
    ids = [str(uuid.uuid4()).encode() for _ in range(messages)]
    for number in [*range(messages)] * repeats:
        key, headers = str(number % (keys or messages)), cast("Any", [("id", ids[number])])
        if number % MOST_QUEUED == 0:
            producer.flush(30)
        producer.produce(topic, json.dumps(body(number)).encode(), key, partition, headers=headers)
    if left := producer.flush(30):
        raise RuntimeError(f"{left} messages could not be put into the topic")
    return topic


@contextmanager
def ours(topic: str, function: Any, **options: Any) -> Iterator[RunOnce]:
    """Read it by a consumer with this handler, in a process that looks for garbage as rarely as `dlq_consume` does.

    A loop by hand that takes turns with it has the good of that too.
    """
    group = f"ours-{uuid.uuid4().hex[:8]}"
    handlers.handlers = [Handler(function=function, topics=(topic,), group=group, **options)]
    consumer = Consumer(group)
    with collecting_rarely():
        try:
            yield consumer.run_once
        finally:
            consumer.close()


@contextmanager
def by_hand(cluster: Cluster, topic: str, loop: Loop, *, limit: int | None = None) -> Iterator[RunOnce]:
    """Read it by a loop of raw.py."""
    group = f"by-hand-{uuid.uuid4().hex[:8]}"
    options = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = confluent_kafka.Consumer({"bootstrap.servers": cluster.bootstrap, **options})
    consumer.subscribe([topic])
    with database.by_hand() as hand:
        try:
            yield partial(loop, hand, consumer, group, limit or conf.DLQ_CONSUMER_BATCH)
        finally:
            consumer.close()


def until_first(run_once: RunOnce) -> int:
    """Join the group before the clock runs; return how many messages came with that."""
    while not (done := run_once()):
        pass
    return done
