import sys
import uuid
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from django_dlq.encoding import encode_body, encode_headers
from django_dlq.exceptions import BodyNotSerializable, InvalidMessage
from django_dlq.message import RESERVED

pytestmark = pytest.mark.once


class Names(dict):
    pass


@pytest.mark.parametrize(
    ("body", "travels"),
    [
        ({"ü": 1, "a": [None, True]}, '{"ü":1,"a":[null,true]}'.encode()),
        (Names(a=1), b'{"a":1}'),
        ([], b"[]"),
        ((1, 2), b"[1,2]"),
        ({}, b"{}"),
        ({1: "int keys are text in JSON"}, b'{"1":"int keys are text in JSON"}'),
        ("grüße", "grüße".encode()),
        ("", b""),
        ("nul\x00stays", b"nul\x00stays"),
        (b"\xff\x00", b"\xff\x00"),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        (
            {"d": date(2026, 1, 2), "n": Decimal("1.10"), "u": uuid.UUID(int=0)},
            b'{"d":"2026-01-02","n":"1.10","u":"00000000-0000-0000-0000-000000000000"}',
        ),
        ({"naive": datetime(2026, 1, 2, 3, 4, 5)}, b'{"naive":"2026-01-02T03:04:05"}'),  # noqa: DTZ001
    ],
)
def test_a_body_travels_as_these_bytes(body, travels):
    assert encode_body(body) == travels
    assert type(encode_body(body)) is bytes


def deep(levels):
    nested = []
    for _ in range(levels):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    "body",
    [
        None,
        5,
        1.5,
        True,
        {1, 2},
        object(),
        iter([1]),
        {"x": float("nan")},
        {"x": [float("inf")]},
        {"x": object()},
        {("a", "b"): 1},
        {"x": {1, 2}},
        "\ud800",
        {"x": "\ud800"},
        {"\udfff": 1},
        deep(sys.getrecursionlimit() * 20),
    ],
    ids=lambda body: type(body).__name__,
)
def test_a_body_that_json_or_utf8_cannot_express_is_refused(body):
    with pytest.raises(BodyNotSerializable):
        encode_body(body)


def test_a_body_that_contains_itself_is_refused():
    body = {}
    body["me"] = body

    with pytest.raises(BodyNotSerializable):
        encode_body(body)


def test_headers_keep_their_order_repeated_names_and_absent_values():
    pairs = [("a", "ü"), ("b", None), ("a", b"\xff"), ("c", b""), ("c", "")]
    travels = (("a", "ü".encode()), ("b", None), ("a", b"\xff"), ("c", b""), ("c", b""))

    assert encode_headers(pairs) == travels
    assert encode_headers(pair for pair in pairs) == travels
    assert encode_headers({"a": "1", "b": b"2"}) == (("a", b"1"), ("b", b"2"))
    assert encode_headers(()) == ()
    assert encode_headers([("ID", "of another system")]) == (("ID", b"of another system"),)


@pytest.mark.parametrize("name", ["", None, 5, b"bytes", "nul\x00", "\ud800", *RESERVED])
def test_a_header_name_that_cannot_travel_or_is_taken_is_refused(name):
    with pytest.raises(InvalidMessage):
        encode_headers([(name, "value")])


@pytest.mark.parametrize("value", [5, 1.5, True, [], bytearray(b"a"), {"a": 1}])
def test_a_header_value_of_another_type_is_refused(value):
    with pytest.raises(InvalidMessage, match=type(value).__name__):
        encode_headers({"a": value})


def test_a_header_value_that_utf8_cannot_express_is_refused():
    with pytest.raises(BodyNotSerializable, match="header 'a'"):
        encode_headers({"a": "\ud800"})


@pytest.mark.parametrize("headers", [None, 5, "ab", b"ab", ["ab"], [("a",)], [("a", "b", "c")], [None]])
def test_headers_that_are_not_pairs_are_refused(headers):
    with pytest.raises(InvalidMessage, match="pairs"):
        encode_headers(headers)


def test_moments_travel_with_their_zone():
    moment = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))

    assert encode_body({"at": moment}) == b'{"at":"2026-01-02T03:00:00+02:00"}'
