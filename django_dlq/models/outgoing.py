"""A row of the outbox as the relay reads it: a tuple, since a model instance would cost more than sending it does."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any, Final, NamedTuple

from django.db.models import BooleanField, Case, ExpressionWrapper, F, Func, IntegerField, Q, TextField, Value, When
from django.db.models.functions import Cast, Coalesce, NullIf

from django_dlq import message as wire
from django_dlq.message import Headers, Record
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.fields import headers_from_text

_ID = wire.ID

ALONG: Final = None
ASIDE: Final = 1
"""How a row was found: on the way along the primary key, or for its urgency or its delay."""


class Outgoing(NamedTuple):
    """One message to send, with the names of OutboxMessage's columns.

    `body` is None for a tombstone, and for a body that is too large to be read with a whole page: then `size`, its
    length in bytes, says so. `headers_text` is None where headers and key together are too large for that; then `key`
    may be None as well. `is_expired`: whether it must not be sent any more, by the database's clock. `part`: ALONG or
    ASIDE.

    What hardly any message has may be None where it has none, since that is what costs least to send and to read:
    `message_key` where it is the message's id, `tag`, `group`, `size` where the body is there, `is_expired`.
    """

    id: int
    lane: int
    topic: str
    key: str | None
    raw_key: bytes | None
    tag: str | None
    headers_text: str | None
    body: bytes | None
    size: int | None
    broker: str
    message_id: str
    message_key: str | None
    priority: int
    expires_at: datetime | None
    is_expired: bool | None
    letter_id: int | None
    group: str | None
    part: int | None

    @property
    def pk(self) -> int:
        """The row's id, as models call it."""
        return self.id

    @property
    def headers(self) -> Headers:
        """The publisher's headers."""
        assert self.headers_text is not None, "they have yet to be read"
        return headers_from_text(self.headers_text)

    @property
    def thread(self) -> tuple[str, str | None]:
        """What keeps its order: the topic and the key."""
        return self.topic, self.key

    @property
    def is_aside(self) -> bool:
        """Whether it was found for its urgency or its delay, wherever it lies."""
        return self.part == ASIDE

    @property
    def is_partial(self) -> bool:
        """Whether the body, or what goes with it, has yet to be read."""
        return self.headers_text is None or (self.body is None and self.size is not None)

    @classmethod
    def of(cls, columns: Iterable[Any]) -> "Outgoing":
        """Make one from its columns, whatever the driver calls bytes."""
        return cls._make(bytes(value) if isinstance(value, memoryview) else value for value in columns)


quickly: Callable[[Sequence[Any]], Outgoing] = partial(tuple.__new__, Outgoing)
"""Make one from exactly its columns, with bytes as such, in half of the time."""

_record: Callable[[Sequence[Any]], Record] = partial(tuple.__new__, Record)


def records(rows: Iterable[Outgoing]) -> list[Record]:
    """Return messages as they will travel: the publisher's headers, then this app's own."""
    made: list[Record] = []
    add = made.append
    # All columns taken at once, by position, many rows in one loop, and without asking for each header where there is
    # only the id: this is done for every message, and as one would write it at first it takes three times as long.
    for row in rows:
        _, _, topic, key, raw, tag, text, body, _, _, own_id, message_key, _, expires, _, letter, group, _ = row
        if raw is None and key is not None:
            raw = key.encode()
        is_own = message_key is None or message_key == own_id
        if text != "[]" or not is_own or tag or group or letter is not None or expires is not None:
            headers: Headers = (*row.headers, *own_headers(row))
        else:
            headers = ((_ID, own_id.encode()),)
        add(_record((topic, raw, body, headers, None, None, None)))
    return made


# Columns of many rows, which `map` takes from them several times faster than a loop that names them.
id_of = itemgetter(Outgoing._fields.index("id"))
lane_of = itemgetter(Outgoing._fields.index("lane"))
broker_of = itemgetter(Outgoing._fields.index("broker"))
priority_of = itemgetter(Outgoing._fields.index("priority"))
expiry_of = itemgetter(Outgoing._fields.index("is_expired"))
letter_of = itemgetter(Outgoing._fields.index("letter_id"))
part_of = itemgetter(Outgoing._fields.index("part"))
_body_of = itemgetter(Outgoing._fields.index("body"))
_text_of = itemgetter(Outgoing._fields.index("headers_text"))


def are_whole(rows: Sequence[Outgoing]) -> bool:
    """Tell whether nothing of these rows has yet to be read."""
    return all(map(_text_of, rows)) and (all(map(_body_of, rows)) or not any(row.is_partial for row in rows))


class OctetLength(Func):
    """The length in bytes."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def get_db_converters(self, connection: Any) -> list[Any]:
        """Take the number as the driver gives it: a function called for every row would cost more than reading it."""
        return []

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Call it by the only name that old releases of SQLite know."""
        return self.as_sql(compiler, connection, function="LENGTH", **extra)


class _StoredSize(Func):
    """The bytes that a value takes in its row, compressed perhaps: known on PostgreSQL without reading it."""

    function = "pg_column_size"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Not known."""
        return "0", []

    as_mysql = as_sqlite


class Number(Value):
    """A number that every row has."""

    def get_db_converters(self, connection: Any) -> list[Any]:
        """Take it as the driver gives it."""
        return []


def in_part(part: int | None, *, vendor: str) -> Any:
    """Return the expression of ALONG or ASIDE, which is a number also where it is NULL; where that saves nothing, 0."""
    if part is None and vendor == "postgresql":
        return Cast(Value(None), IntegerField())
    return Number(part or 0)


TEXT: Final = Cast("headers", TextField())
"""The headers as they are read."""

TEXT_SIZE: Final = OctetLength(TEXT) + Coalesce(OctetLength("key"), 0)
"""The bytes of headers and key, and on SQLite their characters."""


def expressions(largest: int, *, vendor: str) -> dict[str, Any]:
    """Return what is computed while reading, by name.

    Bodies of more than `largest` bytes are left out, and headers and keys that together take more.
    """
    small = When(Q(body__isnull=True) | Q(size__lte=largest), then=F("body"))
    short = Q(key__isnull=True) | Q(key_size__lte=largest)
    # First what costs nothing: to write large headers as text takes the database milliseconds.
    brief = Q(stored_size__lte=largest) & Q(text_size__lte=largest)
    left_out = Case(When(size__gt=largest, then=F("size")), default=None)
    return (_LEAN if vendor == "postgresql" else _AS_THEY_ARE) | {
        "size": OctetLength("body"),
        "large_size": left_out if vendor == "postgresql" else OctetLength("body"),
        "key_size": OctetLength("key"),
        "stored_size": _StoredSize("headers"),
        "text_size": TEXT_SIZE,
        "small_text": Case(When(brief, then=TEXT), default=None),
        "small_body": Case(small, default=None),
        "small_key": Case(When(short, then=F("key")), default=None),
    }


# PostgreSQL sends and psycopg reads each column by itself, and a NULL at hardly any cost.
_LEAN: Final[dict[str, Any]] = {
    "own_message_key": NullIf("message_key", "message_id"),
    "own_tag": NullIf("tag", Value("")),
    "own_group": NullIf("group", Value("")),
    # NULL for NULL.
    "is_expired": ExpressionWrapper(Q(expires_at__lte=DatabaseNow()), output_field=BooleanField(null=True)),
}
_EXPIRED: Final = Q(expires_at__isnull=False) & Q(expires_at__lte=DatabaseNow())
_AS_THEY_ARE: Final[dict[str, Any]] = {
    "own_message_key": F("message_key"),
    "own_tag": F("tag"),
    "own_group": F("group"),
    "is_expired": ExpressionWrapper(_EXPIRED, output_field=BooleanField()),
}


_COMPUTED = {
    "body": "small_body",
    "headers_text": "small_text",
    "key": "small_key",
    "size": "large_size",
    "message_key": "own_message_key",
    "tag": "own_tag",
    "group": "own_group",
}

COLUMNS = tuple(_COMPUTED.get(name, name) for name in Outgoing._fields)
"""The names of the columns and expressions to read, in the order of the fields."""


def own_headers(row: Any) -> Iterator[tuple[str, bytes]]:
    """Return the headers that this app adds to a message; it may be an Outgoing or an OutboxMessage."""
    yield wire.ID, row.message_id.encode()
    if row.message_key not in (None, row.message_id):
        yield wire.MESSAGE_KEY, row.message_key.encode()
    if row.tag:
        yield wire.TAG, row.tag.encode()
    if row.expires_at is not None:
        yield wire.EXPIRES, row.expires_at.isoformat().encode()
    if row.group:
        yield wire.GROUP, row.group.encode()
    if row.letter_id is not None:
        yield wire.LETTER, str(row.letter_id).encode()
