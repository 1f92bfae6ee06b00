"""Debezium's outbox event router as the way out, in place of the relay.

It reads the same rows, and makes headers of columns. Here is which column becomes which header, and how a message that
came this way is read as if the relay had sent it.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from django_dlq import message as wire
from django_dlq.conf import conf
from django_dlq.exceptions import RelayIsOff
from django_dlq.header_json import unpack
from django_dlq.message import Record

PLACEMENT: Mapping[str, str] = {
    "message_key": wire.MESSAGE_KEY,
    "tag": wire.TAG,
    "expires_at": wire.EXPIRES,
    "group": wire.GROUP,
    "letter_id": wire.LETTER,
    "headers": wire.HEADERS,
    "raw_key": wire.RAW_KEY,
}
"""The header that the router makes of a column. It makes one of every row, with an empty or no value too."""

LONGEST_SLOT = 63
DIGEST_LENGTH = 8


def is_used() -> bool:
    """Tell whether the project has chosen Debezium: then the outbox has a retention, and the relay is off."""
    return conf.DLQ_OUTBOX_RETENTION is not None


def expect_relay() -> None:
    """Raise RelayIsOff if the relay must not run, since every message would be sent twice."""
    if is_used():
        raise RelayIsOff(
            "DLQ_OUTBOX_RETENTION is set, so Debezium sends the outbox, and a relay would send all of it again. Run "
            "dlq_prune instead, or remove the setting."
        )


def slot_name(database: str, broker: str) -> str:
    """Return the name of the replication slot through which a broker's messages leave, which is also its connector's.

    Slots of all databases of a server share their names, so the database's is a part of it. Only the broker `default`
    of a database whose name PostgreSQL takes as it is needs no more: every other name ends with a digest, since `eu-1`
    and `eu_1` are written alike, and `shop` with `eu` like `shop_eu`.
    """
    plain = f"dlq_{database}"
    if broker == "default" and re.fullmatch(r"[a-z0-9_]+", plain) and len(plain) <= LONGEST_SLOT:
        return plain
    told = plain if broker == "default" else f"{plain}_{broker}"
    digest = "_" + hashlib.sha256(f"{database}\0{broker}".encode()).hexdigest()[:DIGEST_LENGTH]
    return re.sub(r"[^a-z0-9_]", "_", told.lower())[: LONGEST_SLOT - len(digest)] + digest


def brokers_by_slot(database: str) -> Mapping[str, Sequence[str]]:
    """Return the brokers' aliases by the names of their slots; several share one only if their digests are equal."""
    found: dict[str, list[str]] = {}
    for broker in conf.DLQ_BROKERS:
        found.setdefault(slot_name(database, broker), []).append(broker)
    return found


def as_relayed(record: Record) -> Record:
    """Return a record that came through Debezium as the relay would have sent it, and any other as it is."""
    packed = record.header(wire.HEADERS)
    if packed is None:
        return record
    raw_key = record.header(wire.RAW_KEY)
    try:
        headers = (*unpack(json.loads(packed)), *_foreign_headers(record), *_own_headers(record))
        key = base64.b64decode(raw_key, validate=True) if raw_key else record.key
    except (ValueError, TypeError, RecursionError):  # somebody else's header of this name says nothing to us
        return record
    return record._replace(key=key, headers=headers)


def _foreign_headers(record: Record) -> Iterator[tuple[str, bytes | None]]:
    return (pair for pair in record.headers if pair[0] not in wire.RESERVED)


def _own_headers(record: Record) -> Iterator[tuple[str, bytes]]:
    """Leave out what the relay would not have written, and write times as it does."""
    for name in (wire.ID, wire.MESSAGE_KEY, wire.TAG, wire.EXPIRES, wire.GROUP, wire.LETTER):
        value = record.header(name)
        if name == wire.MESSAGE_KEY and value == record.header(wire.ID):
            continue
        if value:
            yield name, _as_written(value) if name == wire.EXPIRES else value


def _as_written(moment: bytes) -> bytes:
    return datetime.fromisoformat(moment.decode()).isoformat().encode()
