"""A Kafka consumer that does what a test says."""

from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

MINE = [TopicPartition("orders", 0), TopicPartition("orders", 1)]


class Arrival:
    """A message, as the driver gives it."""

    def __init__(self, partition: int, body: bytes, offset: int = 7, error: KafkaError | None = None) -> None:
        self._known = {
            "topic": "orders", "partition": partition, "value": body, "offset": offset, "timestamp": (0, 0),
            "error": error,
        }  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        return lambda: self._known.get(name)


class Driver:
    """A consumer of two partitions; `meanwhile` happens before the second message of a poll is taken."""

    def __init__(self) -> None:
        self.assigned = list(MINE)
        self.arrivals: list[Any] = []
        self.calls: list[str] = []
        self.committed: list[tuple[int, int]] = []
        self.meanwhile: Callable[[], object] = list

    def assignment(self) -> list[TopicPartition]:
        return self.assigned

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.calls.append(f"pause {len(partitions)}")

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.calls.append(f"resume {len(partitions)}")

    def poll(self, timeout: float) -> Any:
        self.calls.append("poll")
        arrival = self.arrivals.pop(0) if self.arrivals else None
        if isinstance(arrival, Exception):
            raise arrival
        return arrival

    def consume(self, limit: int, timeout: float) -> list[Any]:
        self.meanwhile()
        taken, self.arrivals = self.arrivals[:limit], self.arrivals[limit:]
        return taken

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        self.committed += [(place.partition, place.offset) for place in offsets]
        return offsets

    def close(self) -> None:
        self.calls.append("close")
