"""Make columns of a message, or say what is wrong with it, before anything is written."""

from datetime import timedelta

from django_dlq import debezium, tracing
from django_dlq.conf import conf
from django_dlq.encoding import encode_body, encode_headers
from django_dlq.exceptions import LONGEST_DELAY, InvalidMessage, MessageTooLarge
from django_dlq.message import IDENTITY_LENGTH, Headers, Message, is_text, new_message_id
from django_dlq.models import StoredMessage

PRIORITIES = range(10)


def message_columns(message: Message, trace_headers: Headers) -> dict[str, object]:
    """Return the columns of StoredMessage for a message that has now its id; raise a PublishError for a wrong one."""
    check(message)
    message_id = new_message_id()
    headers = encode_headers(message.headers)
    return {
        "message_id": message_id,
        "message_key": message.message_key or message_id,
        "topic": message.topic,
        "key": message.key,
        "tag": message.tag,
        "headers": tracing.carry_on(headers, trace_headers) if trace_headers else headers,
        "body": encode_body(message.body),
        "broker": message.broker,
    }


def check(message: Message) -> None:
    """Raise InvalidMessage unless every part but headers and body can be sent."""
    for name in ("topic", "message_key", "tag"):
        check_text(name, getattr(message, name))
    if not message.topic:
        raise InvalidMessage("a message needs a topic")
    check_key(message.key)
    if message.priority not in PRIORITIES:
        raise InvalidMessage(f"priority must be a whole number from 0 to 9, not {message.priority!r}")
    for name in ("delay", "expires_in"):
        check_span(name, getattr(message, name))
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


def check_span(name: str, span: object) -> None:
    """Raise InvalidMessage unless this is None, or a time that every database can add to its own."""
    if span is not None and (not isinstance(span, timedelta) or not timedelta(0) <= span <= LONGEST_DELAY):
        raise InvalidMessage(f"{name} must be a timedelta from 0 to {LONGEST_DELAY.days} days, not {span!r}")


def check_size(row: StoredMessage, most: int | None = None) -> None:
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
