"""What a consumer's letter has in its columns."""

from typing import Any

from django_dlq.conf import conf
from django_dlq.fingerprint import Failure
from django_dlq.message import ReceivedMessage
from django_dlq.models import Source, key_columns, open_key, order_key
from django_dlq.registry import Handler


def received_columns(message: ReceivedMessage, handler: Handler) -> dict[str, Any]:
    """Return the columns of the letter of a message that a handler does not get done."""
    record = message.record
    return {
        "source": Source.CONSUMER,
        "message_id": message.message_id,
        "message_key": message.message_key,
        "open_key": open_key(message.group, message.message_key),
        "topic": record.topic,
        "tag": message.tag,
        "headers": record.headers,
        "body": record.body,
        "broker": handler.broker,
        "group": message.group,
        "handler": handler.name[:255],
        "partition": record.partition,
        "offset": record.offset,
        "sent_at": record.timestamp,
        "order_key": order_key(message.group, record.topic, record.key) if handler.ordered else None,
        **key_columns(record.key),
    }


def failure_columns(failure: Failure) -> dict[str, Any]:
    """Return the columns that say why a message failed."""
    return {
        "error_class": failure.error_class[:255],
        "error_message": failure.error_message,
        "traceback": failure.traceback,
        "fingerprint": failure.fingerprint,
        "dependency": failure.dependency,
        "release": conf.DLQ_RELEASE,
    }
