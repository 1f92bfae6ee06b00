"""What Kafka has delivered, as the record that every broker gives."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, cast

from django_dlq.brokers.kafka_client import TIMESTAMP_NOT_AVAILABLE, Message
from django_dlq.message import Headers, Record

_record: Callable[[Sequence[Any]], Record] = partial(tuple.__new__, Record)
"""Make one from exactly its fields, in half of the time."""

_EPOCH = datetime.fromtimestamp(0, UTC)


def record_of(message: Message) -> Record:
    """Return the record of a message, byte for byte."""
    return _record(
        (
            message.topic() or "",
            message.key(),
            message.value(),
            cast("Headers", tuple(message.headers() or ())),
            message.partition(),
            message.offset(),
            _when(*message.timestamp()),
        )
    )


@lru_cache(maxsize=1024)  # what comes together was sent together
def _when(kind: int, milliseconds: int) -> datetime | None:
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:  # a producer may set any number
        return None
