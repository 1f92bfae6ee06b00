"""What a producer that is not Django may do: prepare half messages and decide its own; api/ has the doors to it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from django.db import IntegrityError

from django_dlq import half_messages
from django_dlq.exceptions import IdempotencyKeyReused, TopicForbidden
from django_dlq.message import Message
from django_dlq.models import DecidedBy, HalfMessage, OutboxMessage, Producer
from django_dlq.producer_checks import CHECKER
from django_dlq.tracing import TRACEPARENT, TRACESTATE

SAME: Final = ("topic", "key", "body_bytes", "tag", "broker", "priority", "delay", "expires_in")
"""What two requests with one idempotency key must agree on, beside the message key and the headers."""


def prepare(
    producer: Producer,
    message: Message,
    *,
    idempotency_key: str | None = None,
    check_after: timedelta | None = None,
    check_every: timedelta | None = None,
    most_checks: int | None = None,
) -> tuple[HalfMessage, bool]:
    """Prepare a half message for a producer; return its row, and whether it is new.

    Asked again with the same idempotency key, return the row of the first time, whatever became of it meanwhile.

    Raises TopicForbidden, or IdempotencyKeyReused if the key was given with another message, or what
    `outbox.prepare` raises. Not promised: that a key is remembered for longer than its half message is kept.
    """
    _check_topic(producer, message.topic)
    row = half_messages.compose(
        message, checker=CHECKER, check_after=check_after, check_every=check_every, most_checks=most_checks
    )
    row.producer, row.idempotency_key = producer.name, idempotency_key
    if found := _earlier(row, message):
        return found, False
    try:
        half_messages.write(row)
    except IntegrityError:
        if found := _earlier(row, message):  # the same request, at the same moment
            return found, False
        raise
    return row, True


def commit(producer: Producer, half: HalfMessage) -> OutboxMessage | None:
    """Commit a producer's own half message; raise TopicForbidden if it may not publish there any more."""
    _check_topic(producer, half.topic)
    return half.commit(by=DecidedBy.PRODUCER, actor_name=producer.name)


def rollback(producer: Producer, half: HalfMessage) -> None:
    """Roll back a producer's own half message."""
    half.rollback(by=DecidedBy.PRODUCER, actor_name=producer.name)


def _check_topic(producer: Producer, topic: str) -> None:
    if not producer.may_publish(topic):
        raise TopicForbidden(f"the producer {producer.name!r} may not publish to the topic {topic!r}")


def _earlier(row: HalfMessage, message: Message) -> HalfMessage | None:
    """Return what was prepared with this idempotency key before; raise IdempotencyKeyReused if it is something else."""
    if row.idempotency_key is None:
        return None
    found = HalfMessage.objects.filter(producer=row.producer, idempotency_key=row.idempotency_key).first()
    if found is not None and _content(found, found.message_key) != _content(row, message.message_key or row.message_id):
        raise IdempotencyKeyReused(
            f"the idempotency key {row.idempotency_key!r} was given with another message, half message {found.pk}"
        )
    return found


def _content(row: HalfMessage, message_key: str) -> Mapping[str, object]:
    # A key that was not given is the id, and each request would have got another one. The trace is the request's own.
    return {
        "message_key": None if message_key == row.message_id else message_key,
        "headers": [pair for pair in row.headers if pair[0] not in (TRACEPARENT, TRACESTATE)],
        **{name: getattr(row, name) for name in SAME},
    }
