"""The Kafkas to measure against: a mock in a process of its own, and the real one beside it if it runs."""

import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from django.test import override_settings

from tests.services.kafka import KAFKA

PARTITIONS = 4


@dataclass(slots=True)
class Cluster:
    """A Kafka, and the topics that were made in it."""

    name: str
    bootstrap: str
    topics: list[str] = field(default_factory=list)
    delay: Callable[[int], None] | None = None  # how long every answer takes, in milliseconds; a mock can do that

    def topic(self, topic: str = "") -> str:
        """Return a topic that nobody has used, of this name if one is given."""
        topic = topic or f"dlq-bench-{uuid.uuid4().hex[:12]}"
        if self.name == "mock":
            Producer({"bootstrap.servers": self.bootstrap, "log_level": 4}).list_topics(
                topic, 10
            )  # asking for it creates it
        else:
            admin = self._admin()  # held until the answer is there
            admin.create_topics([NewTopic(topic, PARTITIONS)])[topic].result(30)
        self.topics.append(topic)
        return topic

    def count(self, topic: str) -> int:
        """Return how many records a topic has ever taken."""
        consumer = Consumer(self._quietly() | {"group.id": "benchmarks"})
        try:
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            return sum(consumer.get_watermark_offsets(TopicPartition(topic, number), 10)[1] for number in partitions)
        finally:
            consumer.close()

    def forget(self) -> None:
        """Delete the topics again."""
        if self.name != "mock" and self.topics:
            admin = self._admin()
            for deleted in admin.delete_topics(self.topics).values():
                deleted.result(30)

    def _admin(self) -> AdminClient:
        return AdminClient(self._quietly())

    def _quietly(self) -> dict[str, Any]:
        return {"bootstrap.servers": self.bootstrap, "log_level": 4}


@contextmanager
def mock() -> Iterator[Cluster]:
    """Start the mock cluster in another process, so that it does not share Python's lock with what is measured."""
    with _delayable("mock", "benchmarks.mock_kafka") as cluster:
        yield cluster


@contextmanager
def _delayable(name: str, *module: str) -> Iterator[Cluster]:
    """Start a process that prints where a Kafka is to be found, and delays its answers when it is told to."""
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        written, read = process.stdin, process.stdout
        assert written is not None
        assert read is not None

        def delay(milliseconds: int) -> None:
            print(milliseconds, file=written, flush=True)
            read.readline()  # from here on it is so

        try:
            with _used(Cluster(name, read.readline().strip(), delay=delay)) as cluster:
                yield cluster
        finally:
            written.close()


@contextmanager
def real() -> Iterator[Cluster]:
    """Use the Kafka of `make services`, or the one that DLQ_TEST_KAFKA names."""
    bootstrap = real_address()
    assert bootstrap is not None
    with _used(Cluster("real", bootstrap)) as cluster:
        yield cluster


def each() -> Iterator[Cluster]:
    """Give the mock, and then the real one if it runs."""
    with mock() as cluster:
        yield cluster
    if real_address():
        with real() as cluster:
            yield cluster


def each_delayable() -> Iterator[Cluster]:
    """Do the same, with a real one that is reached through a proxy, which can keep its answers back."""
    with mock() as cluster:
        yield cluster
    if address := real_address():
        with _delayable("real", "benchmarks.slow_kafka", address) as cluster:
            yield cluster


def real_address() -> str | None:
    """Return where a real Kafka answers, or None."""
    bootstrap = os.environ.get("DLQ_TEST_KAFKA") or f"{KAFKA.host}:{KAFKA.port}"
    host, _, port = bootstrap.partition(",")[0].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return None
    return bootstrap


@contextmanager
def _used(cluster: Cluster) -> Iterator[Cluster]:
    options = {"bootstrap.servers": cluster.bootstrap}
    backend = "django_dlq.brokers.kafka.KafkaBroker"
    with override_settings(DLQ_BROKERS={"default": {"BACKEND": backend, "OPTIONS": options}}):
        try:
            yield cluster
        finally:
            cluster.forget()
