"""Messages put into a stage's topic as another system would, many of them twice."""

import json
import random
from collections.abc import Sequence

from confluent_kafka import Producer

from tests.scenarios import STUMBLES
from tests.scenarios.stage import SECONDS, Stage


class Feed:
    """Send orders over some keys; of a hundred, ten come twice and five fail at the first attempt."""

    def __init__(
        self,
        stage: Stage,
        *,
        keys: int = 100,
        repeats: float = 0.1,
        failures: float = 0.05,
        stumbles: Sequence[str] = (STUMBLES,),
    ) -> None:
        self.stage, self.keys, self.repeats, self.failures, self.stumbles = stage, keys, repeats, failures, stumbles
        self.orders: list[str] = []
        self._chance = random.Random(4)
        self._producer = Producer({"bootstrap.servers": stage.kafka, "enable.idempotence": True})

    def send(self, number: int) -> None:
        """Send so many orders, and wait until they are there."""
        for count in range(len(self.orders), len(self.orders) + number):
            self.orders.append(f"key-{count % self.keys}:{count}")
            tag = self._chance.choice(self.stumbles) if self._chance.random() < self.failures else ""
            for _ in range(2 if self._chance.random() < self.repeats else 1):
                self.put(self.orders[-1], tag)
        assert self._producer.flush(SECONDS) == 0

    def put(self, order: str, tag: str = "") -> None:
        """Send one order, KEY:NUMBER, with a tag; it is there after the next `send`."""
        body, key = json.dumps({"order": order}).encode(), order.partition(":")[0].encode()
        headers = [("id", order.encode()), *([("dlq-tag", tag.encode())] if tag else [])]
        self._producer.produce(self.stage.topic, body, key, headers=headers)
