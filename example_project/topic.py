"""Look into a topic with a plain Kafka client, independent of what django_dlq believes about it."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

SECONDS = 15.0


class KafkaAway(Exception):
    """Kafka did not answer in time."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the cluster at an address."""

    bootstrap: str
    name: str

    @contextmanager
    def existing(self, partitions: int) -> Iterator[None]:
        """Create the topic, and delete it afterwards."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            admin.create_topics([NewTopic(self.name, partitions, 1)])[self.name].result(SECONDS)
        except (KafkaException, TimeoutError) as error:
            raise KafkaAway(str(error) or f"nothing was heard for {SECONDS:g} seconds") from error
        try:
            yield
        finally:
            admin.delete_topics([self.name])[self.name].exception(SECONDS)

    def lag(self, group: str) -> int:
        """Count the records that a group has not committed yet."""
        with self._client(group) as client:
            places = client.committed(self._places(client), timeout=SECONDS)
            return sum(self._end(client, place) - max(0, place.offset) for place in places)

    def records(self) -> list[Message]:
        """Read everything from the beginning, as a group that nobody else uses."""
        found: list[Message] = []
        with self._client(f"demo-check-{uuid.uuid4()}") as client:
            places = self._places(client)
            total = sum(self._end(client, place) for place in places)
            client.assign([TopicPartition(place.topic, place.partition, 0) for place in places])
            deadline = time.monotonic() + SECONDS
            while len(found) < total and time.monotonic() < deadline:
                found += [message for message in client.consume(500, 0.5) if message.error() is None]
        if len(found) < total:
            raise KafkaAway(f"only {len(found)} of {total} records could be read")
        return found

    def _places(self, client: Consumer) -> list[TopicPartition]:
        partitions = client.list_topics(self.name, timeout=SECONDS).topics[self.name].partitions
        return [TopicPartition(self.name, number) for number in partitions]

    def _end(self, client: Consumer, place: TopicPartition) -> int:
        return int(client.get_watermark_offsets(place, timeout=SECONDS)[1])

    @contextmanager
    def _client(self, group: str) -> Iterator[Consumer]:
        settings: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
        client = Consumer(settings)
        try:
            yield client
        except KafkaException as error:
            raise KafkaAway(str(error)) from error
        finally:
            client.close()
