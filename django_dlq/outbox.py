"""Write messages in the transaction of the business rows; the relay sends them after it commits.

with transaction.atomic():
    order.save()
    outbox.publish("orders", {"order": order.pk}, key=str(order.pk))
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from django.db import router, transaction

from django_dlq import debezium, tracing
from django_dlq.conf import conf
from django_dlq.exceptions import LONGEST_DELAY, InvalidMessage, MessageTooLarge, OutsideTransaction
from django_dlq.message import (
    IDENTITY_LENGTH,
    Body,
    Headers,
    Message,
    encode_body,
    encode_headers,
    is_text,
    new_message_id,
)
from django_dlq.models import OutboxMessage, in_future
from django_dlq.models.fresh import fresh

__all__ = ["Message", "publish", "publish_many"]

PRIORITIES = range(10)


def publish(
    topic: str,
    body: Body,
    *,
    key: str | None = None,
    message_key: str | None = None,
    tag: str = "",
    headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes | None]] = (),
    delay: timedelta | None = None,
    expires_in: timedelta | None = None,
    priority: int = 0,
    broker: str = "default",
    using: str | None = None,
) -> OutboxMessage:
    """Write one message to the outbox, in the current transaction, and return its row.

    topic: where it goes. body: a dict or list becomes JSON, text UTF-8, bytes stay as they are.
    key: messages of one key keep their order and share a partition. message_key: the business identity by which a
    handler knows a duplicate; the message's own id if not given. tag: a label that handlers may filter on.
    headers: a mapping, or pairs where names shall repeat. delay: not sent earlier. expires_in: not sent, nor handled,
    later: it becomes a dead letter that says "expired". priority: 0 to 9, of due messages the higher are sent first.
    broker: an alias of DLQ_BROKERS. using: the database; by default the one that your routers name for OutboxMessage.

    Raises OutsideTransaction, InvalidMessage, BodyNotSerializable or MessageTooLarge, all before anything is written.
    Not promised: that it is sent once. It is sent at least once, each time with the same id (the header `id`).
    """
    message = Message(
        topic,
        body,
        key=key,
        message_key=message_key,
        tag=tag,
        headers=headers,
        delay=delay,
        expires_in=expires_in,
        priority=priority,
        broker=broker,
    )
    alias = _in_transaction(using)
    row = _row(message, conf.DLQ_MAX_MESSAGE_BYTES, tracing.current_headers())
    OutboxMessage.objects.using(alias).add([row])
    return row


def publish_many(messages: Iterable[Message], *, using: str | None = None) -> Sequence[OutboxMessage]:
    """Write many messages to the outbox in the current transaction, in this order, with few statements.

    Each is checked as by `publish`, and if one is wrong none is written.
    """
    alias = _in_transaction(using)
    most, trace_headers = conf.DLQ_MAX_MESSAGE_BYTES, tracing.current_headers()
    rows = [_row(message, most, trace_headers) for message in messages]
    OutboxMessage.objects.using(alias).add(rows)
    return rows


def _in_transaction(using: str | None) -> str:
    alias = using or router.db_for_write(OutboxMessage)
    if not transaction.get_connection(alias).in_atomic_block:
        raise OutsideTransaction(
            f"publish() must be called inside transaction.atomic(using={alias!r}): only then are the message and your "
            "rows written together, or not at all. Put both into one atomic block."
        )
    return alias


def _row(message: Message, most: int, trace_headers: Headers) -> OutboxMessage:
    _check(message)
    message_id = new_message_id()
    headers = encode_headers(message.headers)
    columns = {
        "message_id": message_id,
        "message_key": message.message_key or message_id,
        "topic": message.topic,
        "key": message.key,
        "tag": message.tag,
        "headers": tracing.carry_on(headers, trace_headers) if trace_headers else headers,
        "body": encode_body(message.body),
        "broker": message.broker,
        "priority": message.priority,
    }
    row = fresh(OutboxMessage, columns)
    if message.delay is not None:
        row.due_at = in_future(message.delay)
    if message.expires_in is not None:
        row.expires_at = in_future(message.expires_in)
    check_size(row, most)
    return row


def _check(message: Message) -> None:
    for name in ("topic", "message_key", "tag"):
        check_text(name, getattr(message, name))
    if not message.topic:
        raise InvalidMessage("a message needs a topic")
    check_key(message.key)
    if message.priority not in PRIORITIES:
        raise InvalidMessage(f"priority must be a whole number from 0 to 9, not {message.priority!r}")
    for name in ("delay", "expires_in"):
        _check_span(name, getattr(message, name))
    if (message.delay or message.priority) and debezium.is_used():
        raise InvalidMessage(
            "DLQ_OUTBOX_RETENTION is set: Debezium sends every message at once and in the order of commits, so neither "
            "delay nor priority is possible"
        )
    if message.broker not in conf.DLQ_BROKERS:
        known = ", ".join(sorted(conf.DLQ_BROKERS)) or "none"
        raise InvalidMessage(f"DLQ_BROKERS has no broker {message.broker!r}; it has: {known}")


def check_key(key: object) -> None:
    """Raise InvalidMessage unless this can be a record key."""
    if key is not None and not is_text(key):
        raise InvalidMessage(f"key must be text without NUL characters and lone surrogates, not {key!r}")


def check_text(name: str, text: object) -> None:
    """Raise InvalidMessage unless this can be a topic, message_key or tag."""
    if text is None and name == "message_key":
        return
    if not is_text(text):
        raise InvalidMessage(f"{name} must be text without NUL characters and lone surrogates, not {text!r}")
    if len(text) > IDENTITY_LENGTH:
        raise InvalidMessage(f"{name} has {len(text)} characters; at most {IDENTITY_LENGTH} are possible")


def _check_span(name: str, span: object) -> None:
    if span is not None and (not isinstance(span, timedelta) or not timedelta(0) <= span <= LONGEST_DELAY):
        raise InvalidMessage(f"{name} must be a timedelta from 0 to {LONGEST_DELAY.days} days, not {span!r}")


def check_size(row: OutboxMessage, most: int | None = None) -> None:
    """Raise MessageTooLarge if the row is above the limit, that of the settings if no other is given."""
    size = len(row.body or b"") + len(row.key_bytes or b"")
    for name, value in row.headers:
        size += len(name.encode()) + len(value or b"")
    if most is None:
        most = conf.DLQ_MAX_MESSAGE_BYTES
    if size > most:
        raise MessageTooLarge(
            f"key, body and headers take {size} bytes; DLQ_MAX_MESSAGE_BYTES is {most}. Send a reference to the data "
            "instead, or raise the limit here and at the broker."
        )
