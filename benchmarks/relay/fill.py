"""Put messages into the outbox with COPY, as `publish_many` would have written them, but ten million of them."""

import json
from collections.abc import Callable, Iterator

from benchmarks import database
from benchmarks.bodies import body
from benchmarks.raw import Connection
from django_dlq.message import lane_of, new_message_id

COLUMNS = 'message_id, message_key, topic, key, tag, headers, body, broker, lane, priority, "group"'
COPY = f"COPY django_dlq_outboxmessage ({COLUMNS}) FROM STDIN"
ROWS_AT_ONCE = 1000

Key = Callable[[int], str]


def distinct(number: int) -> str:
    """Give each message a key of its own."""
    return f"order-{number}"


def hot(_number: int) -> str:
    """Give all messages one key."""
    return "the hot key"


def fill(topic: str, messages: int, *, key: Key = distinct, name: str = database.NAME) -> None:
    """Write so many messages, in one transaction."""
    with database.by_hand(name) as connection:
        copy(connection, topic, messages, key=key)


def copy(connection: Connection, topic: str, messages: int, *, key: Key = distinct) -> None:
    """Write so many messages through a connection."""
    with connection.cursor() as cursor, cursor.copy(COPY) as stream:
        for start in range(0, messages, ROWS_AT_ONCE):
            stream.write("".join(_lines(topic, range(start, min(start + ROWS_AT_ONCE, messages)), key)))


def _lines(topic: str, numbers: range, key: Key) -> Iterator[str]:
    for number in numbers:
        identity, name = new_message_id(), key(number)
        content = json.dumps(body(number), separators=(",", ":")).encode().hex()
        lane = lane_of(name.encode())
        yield f"{identity}\t{identity}\t{topic}\t{name}\t\t[]\t\\\\x{content}\tdefault\t{lane}\t0\t\n"
