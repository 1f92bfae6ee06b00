"""The values that travel: what an application publishes, what a broker carries, what a handler receives."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeGuard
from zlib import crc32

from django_dlq.exceptions import InvalidMessage, UnreadableBody
from django_dlq.uuid7 import next_uuid7

Body = bytes | str | dict[str, Any] | list[Any]
Headers = tuple[tuple[str, bytes | None], ...]
"""Pairs in the order they travel: a name may repeat, and a value may be absent (None), as in Kafka."""

# Names on the wire. `id` is the one that Debezium's outbox event router sets, so both ways out look the same.
ID = "id"
MESSAGE_KEY = "dlq-message-key"
TAG = "dlq-tag"
EXPIRES = "dlq-expires"
GROUP = "dlq-group"
LETTER = "dlq-letter"
HEADERS = "dlq-headers"  # this and the next only through Debezium: see debezium.py
RAW_KEY = "dlq-raw-key"
RESERVED = frozenset({ID, MESSAGE_KEY, TAG, EXPIRES, GROUP, LETTER, HEADERS, RAW_KEY})

Place = tuple[str, int]
"""A topic and the number of one of its partitions."""

IDENTITY_LENGTH = 255
"""Most characters of a message_id, message_key, topic or tag: what an indexed column holds on every database."""

LANES = 64
"""How many shares the outbox has, at most one relay each. Constant for good: rows carry the number of theirs."""


@dataclass(frozen=True, slots=True)
class Message:
    """Describe one message to publish; `outbox.publish` explains each argument."""

    topic: str
    body: Body
    key: str | None = field(default=None, kw_only=True)
    message_key: str | None = field(default=None, kw_only=True)
    tag: str = field(default="", kw_only=True)
    headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes | None]] = field(default=(), kw_only=True)
    delay: timedelta | None = field(default=None, kw_only=True)
    expires_in: timedelta | None = field(default=None, kw_only=True)
    priority: int = field(default=0, kw_only=True)
    broker: str = field(default="default", kw_only=True)


class Record(NamedTuple):
    """One message as a broker carries it, byte for byte.

    `body` is None for a tombstone, which is not an empty body. `partition`, `offset` and `timestamp` are set on
    records that were received. It is a tuple, since a relay makes one for every message: a frozen dataclass takes three
    times as long to make.
    """

    topic: str
    key: bytes | None = None
    body: bytes | None = None
    headers: Headers = ()
    partition: int | None = None
    offset: int | None = None
    timestamp: datetime | None = None

    @property
    def place(self) -> Place:
        """The partition that it was received from."""
        return self.topic, self.partition or 0

    def header(self, name: str) -> bytes | None:
        """Return the last value of a header, or None: of repeated names the last one counts, as in Kafka."""
        # A loop, since every message is asked five times: a generator would take three times as long.
        for header, value in reversed(self.headers):
            if header == name:
                return value
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """What a handler is called with.

    `key` is the record key as text (undecodable bytes escaped; `record.key` has the exact ones), `attempt` counts from
    1, and `record` is the message as the broker gave it. A foreign message without an `id` header is identified by
    its place in the topic, which stays the same however often it is delivered.
    """

    record: Record
    message_id: str
    message_key: str
    tag: str
    group: str
    attempt: int = 1

    @classmethod
    def of(cls, record: Record, group: str, *, attempt: int = 1) -> "ReceivedMessage":
        """Read the identities from a record's headers; raise InvalidMessage for one that has neither id nor place."""
        headers = dict(record.headers)  # of repeated names the last one counts
        message_id = identity(headers.get(ID)) or _place(record)
        message_key, tag = headers.get(MESSAGE_KEY), headers.get(TAG)  # most messages have neither
        return cls(
            record=record,
            message_id=message_id,
            message_key=(identity(message_key) if message_key else None) or message_id,
            tag=(identity(tag) if tag else None) or "",
            group=group,
            attempt=attempt,
        )

    @property
    def topic(self) -> str:
        """The topic it was received from."""
        return self.record.topic

    @property
    def key(self) -> str | None:
        """The record key as text."""
        return None if self.record.key is None else readable(self.record.key)

    @property
    def body(self) -> bytes:
        """The body's bytes; empty for a tombstone (`is_tombstone` tells them apart)."""
        return self.record.body or b""

    @property
    def is_tombstone(self) -> bool:
        """Whether the message has no body at all, which in a compacted topic means: deleted."""
        return self.record.body is None

    @property
    def headers(self) -> dict[str, str]:
        """The headers as text, the last value of each name; `record.headers` has all of them, exactly."""
        return {name: readable(value) for name, value in self.record.headers if value is not None}

    def text(self) -> str:
        """Return the body as text; raise UnreadableBody unless it is UTF-8."""
        try:
            return self.body.decode()
        except UnicodeDecodeError as error:
            raise UnreadableBody(f"the body is not UTF-8 text: {error}") from error

    def json(self) -> Any:
        """Return the body parsed as JSON; raise UnreadableBody if it is not (RFC 8259), an empty body included."""
        text = self.text()
        try:
            return _decoder.decode(text)
        except (ValueError, RecursionError) as error:  # not only JSONDecodeError: a number may have too many digits
            what = "is absent (a tombstone)" if self.is_tombstone else "is empty" if not self.body else "is not JSON"
            raise UnreadableBody(f"the body {what}: {error}") from error


def _place(record: Record) -> str:
    if record.offset is None:
        # All such records of a topic would be taken for one message, and all but the first for duplicates.
        raise InvalidMessage("a record without an `id` header and without a place in its topic has no identity")
    return identity(f"{record.topic}-{record.partition}-{record.offset}".encode()) or ""


def new_message_id() -> str:
    """Return a fresh identity: a UUID that begins with the time (version 7, RFC 9562), greater than all before it.

    So new ids lie side by side in an index, whereas random ones would touch a page each.
    """
    digits = f"{next_uuid7():032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def lane_of(key: bytes) -> int:
    """Return the lane of a key, 0 to 63: the same on every machine and in every release (CRC-32, as in RFC 1952)."""
    return crc32(key) % LANES


def readable(data: bytes) -> str:
    """Return bytes as text to read and search: undecodable ones and NUL as backslash escapes, never an error."""
    return data.decode(errors="backslashreplace").replace("\x00", "\\x00")


def exact(data: bytes | None) -> bytes | None:
    """Return the bytes if `readable` would not give them back, else None: what must be stored beside the text."""
    return None if data is None or readable(data).encode() == data else data


def identity(data: bytes | None) -> str | None:
    """Return a header's value as an identity that every database can index and compare, or None if it is blank.

    One that is too long, or is not text, becomes a readable prefix and a digest: the same bytes give the same identity.
    """
    if not data:
        return None
    text = readable(data)
    if len(text) <= IDENTITY_LENGTH and text.encode() == data:
        return text
    return f"{text[:180]}~{hashlib.sha256(data).hexdigest()}"


def no_constant(name: str) -> None:
    """Raise ValueError for the NaN and Infinity that Python's JSON parser would take, and JSON does not have."""
    raise ValueError(f"{name} is not a JSON value (RFC 8259, section 6)")


def is_text(value: object) -> TypeGuard[str]:
    """Tell whether this is text that every database and broker can hold: no NUL, no lone surrogates."""
    if not isinstance(value, str) or "\x00" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_among(topic: str, names: Iterable[str]) -> bool:
    """Tell whether a topic is one of these, where a name that ends with `*` stands for all that begin so."""
    return any(topic.startswith(name[:-1]) if name.endswith("*") else topic == name for name in names)


_decoder = json.JSONDecoder(parse_constant=no_constant)  # json.loads would make one for each message
