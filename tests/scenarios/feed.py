"""Messages put into a stage's topic as another system would, many of them twice."""

import json
import random
from collections.abc import Iterator

from confluent_kafka import Producer

from tests.scenarios import STUMBLES
from tests.scenarios.stage import SECONDS, Stage


class Feed:
    """Send orders over some keys; of a hundred, ten come twice and five fail at the first attempt."""

    def __init__(self, stage: Stage, *, keys: int = 100, repeats: float = 0.1, failures: float = 0.05) -> None:
        self.stage, self.keys, self.repeats, self.failures = stage, keys, repeats, failures
        self.orders: list[str] = []
        self._chance = random.Random(4)
        self._producer = Producer({"bootstrap.servers": stage.kafka, "enable.idempotence": True})

    def send(self, number: int) -> None:
        """Send so many orders, and wait until they are there."""
        for count in range(len(self.orders), len(self.orders) + number):
            key = f"key-{count % self.keys}"
            self.orders.append(f"{key}:{count}")
            headers = list(self._headers(self.orders[-1]))
            for _ in range(2 if self._chance.random() < self.repeats else 1):
                body = json.dumps({"order": self.orders[-1]}).encode()
                self._producer.produce(self.stage.topic, body, key.encode(), headers=headers)
        assert self._producer.flush(SECONDS) == 0

    def _headers(self, order: str) -> Iterator[tuple[str, bytes]]:
        yield "id", order.encode()
        if self._chance.random() < self.failures:
            yield "dlq-tag", STUMBLES.encode()
