"""What the relay reads of a row is what the row itself would send."""

from datetime import UTC, datetime
from typing import Any

import pytest

from django_dlq.message import LETTER, Record
from django_dlq.models import OutboxMessage
from django_dlq.models.outgoing import Outgoing, quickly, records

LATE = datetime(2026, 1, 2, tzinfo=UTC)


SHORT = {"id": 1, "topic": "t", "message_id": "m", "message_key": "m", "tag": "", "group": "", "headers_text": "[]"}


def outgoing(**columns: Any) -> Outgoing:
    known = SHORT | columns
    return Outgoing.of(known.get(name) for name in Outgoing._fields)


@pytest.mark.once
@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"key": ""},
        {"key": "schlüssel", "body": b""},
        {"key": "\\xff", "raw_key": b"\xff"},
        {"tag": "paid"},
        {"message_key": "order-7"},
        {"group": "shipping"},
        {"letter_id": 7},
        {"expires_at": LATE},
    ],
)
def test_it_travels_as_the_row_would(columns: dict[str, Any]) -> None:
    row = OutboxMessage(**{"topic": "t", "message_id": "m", "message_key": "m"} | columns)
    assert records([outgoing(**columns)]) == [row.record()]


@pytest.mark.once
def test_the_publishers_headers_come_first() -> None:
    (record,) = records([outgoing(headers_text='[["h", "1"], ["h", null]]', letter_id=7)])
    assert record.headers == (("h", b"1"), ("h", None), ("id", b"m"), (LETTER, b"7"))


@pytest.mark.once
def test_many_rows_keep_their_order() -> None:
    made = records([outgoing(key=str(number)) for number in range(5)])
    assert [record.key for record in made] == [b"0", b"1", b"2", b"3", b"4"]
    assert {type(record) for record in made} == {Record}


@pytest.mark.once
def test_bytes_are_bytes_whatever_the_driver_calls_them() -> None:
    row = outgoing(raw_key=memoryview(b"\xff"), body=memoryview(b"body"))
    assert (type(row.raw_key), type(row.body)) == (bytes, bytes)
    assert quickly(tuple(row)) == row
