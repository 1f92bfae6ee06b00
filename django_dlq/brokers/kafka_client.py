"""What Kafka's producer and consumer have in common: the driver, its log, and care about fork."""

import ctypes
import gc
import logging
import os
import time
from typing import Any
from weakref import WeakSet

try:
    from confluent_kafka import (
        TIMESTAMP_NOT_AVAILABLE,
        Consumer,
        KafkaError,
        KafkaException,
        Message,
        Producer,
        TopicPartition,
    )
except ImportError as error:
    raise ImportError('Kafka needs its driver: pip install "django_dlq[kafka]"') from error

__all__ = [
    "TIMESTAMP_NOT_AVAILABLE",
    "Client",
    "Consumer",
    "KafkaError",
    "KafkaException",
    "Message",
    "Producer",
    "TopicPartition",
    "logger",
    "why",
]

logger = logging.getLogger("django_dlq.kafka")


class _News(logging.Filter):
    """Lets pass what is new to a person."""

    _silent_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        # OPTIONS serve producers and consumers, so each hears of settings that are the other's. And `send` deals with a
        # rejected batch: it has asked for the fatal error that librdkafka makes of it.
        text = record.getMessage()
        if any(known in text for known in ("will be ignored by this", "gapless.guarantee", "Gap-less ordering")):
            return False
        if not text.startswith("FAIL "):
            return True
        # In an outage each attempt to connect fails, many times a second.
        now, silent_until = time.monotonic(), self._silent_until
        if now >= silent_until:
            self._silent_until = now + 10
        return now >= silent_until


logger.addFilter(_News())


class Client:
    """A place for a client of the driver: which is made on first use, and never used or freed after fork."""

    def __init__(self) -> None:
        self.driver: Any = None
        self.settings: dict[str, Any] = {}
        # Whether the client will never work again; and the last that it has said about its connections.
        self.is_broken = False
        self.trouble = ""
        _clients.add(self)

    def hear(self, error: KafkaError) -> None:
        """Remember what the client says about its connections, to be told with the failure that this causes."""
        self.trouble = error.str()


def why(error: Exception) -> str:
    """Return what an error of the driver says, without the names of its codes."""
    return str(error.args[0].str()) if isinstance(error, KafkaException) else str(error)


_clients: WeakSet[Client] = WeakSet()


def _leave_clients_to_parent() -> None:
    # librdkafka's threads do not exist in the child, and freeing a consumer there aborts the process: so it is kept.
    for place in _clients:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(place.driver))
        place.driver = None
    # The same holds for clients that nobody has any more and that wait in a cycle for the garbage collector.
    gc.freeze()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_clients_to_parent)
