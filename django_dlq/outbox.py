"""Write messages in the transaction of the business rows; the relay sends them after it commits.

with transaction.atomic():
    order.save()
    outbox.publish("orders", {"order": order.pk}, key=str(order.pk))

Or, for work that is not in this database, prepare a half message before it, and decide afterwards (half_messages.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from django.db import router, transaction

from django_dlq import tracing
from django_dlq.checkers import Verdict, checker
from django_dlq.composing import check_size, message_columns
from django_dlq.conf import conf
from django_dlq.exceptions import OutsideTransaction
from django_dlq.half_messages import half, half_message, prepare
from django_dlq.message import Body, Headers, Message
from django_dlq.models import OutboxMessage, in_future
from django_dlq.models.fresh import fresh

__all__ = ["Message", "Verdict", "checker", "half", "half_message", "prepare", "publish", "publish_many"]


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
    OutboxMessage.objects.add([row], using=alias)
    return row


def publish_many(messages: Iterable[Message], *, using: str | None = None) -> Sequence[OutboxMessage]:
    """Write many messages to the outbox in the current transaction, in this order, with few statements.

    Each is checked as by `publish`, and if one is wrong none is written.
    """
    alias = _in_transaction(using)
    most, trace_headers = conf.DLQ_MAX_MESSAGE_BYTES, tracing.current_headers()
    rows = [_row(message, most, trace_headers) for message in messages]
    OutboxMessage.objects.add(rows, using=alias)
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
    row = fresh(OutboxMessage, message_columns(message, trace_headers))
    row.priority = message.priority
    if message.delay is not None:
        row.due_at = in_future(message.delay)
    if message.expires_in is not None:
        row.expires_at = in_future(message.expires_in)
    check_size(row, most)
    return row
