import json
import time
import uuid

import pytest

from django_dlq.encoding import encode_body
from django_dlq.exceptions import InvalidMessage, UnreadableBody
from django_dlq.message import (
    IDENTITY_LENGTH,
    ReceivedMessage,
    Record,
    exact,
    identity,
    new_message_id,
    readable,
)

pytestmark = pytest.mark.once


def received(body=b"{}", **parts):
    return ReceivedMessage.of(Record(topic="orders", body=body, partition=3, offset=7, **parts), "shipping")


def test_message_ids_are_uuids_that_grow_with_time():
    ids = [new_message_id() for _ in range(1000)]

    assert sorted(set(ids)) == ids
    assert {uuid.UUID(text).version for text in ids} == {7}
    assert {uuid.UUID(text).variant for text in ids} == {uuid.RFC_4122}
    assert abs((uuid.UUID(ids[-1]).int >> 80) / 1000 - time.time()) < 60


@pytest.mark.parametrize("data", [b"", b"plain", "ü€😀".encode()])
def test_text_is_readable_as_it_is_and_needs_no_second_copy(data):
    assert readable(data) == data.decode()
    assert exact(data) is None


@pytest.mark.parametrize(
    ("data", "text"), [(b"\xff", "\\xff"), (b"a\x00b", "a\\x00b"), (b"\xed\xa0\x80", "\\xed\\xa0\\x80")]
)
def test_bytes_that_are_not_text_are_shown_escaped_and_kept_exactly(data, text):
    assert readable(data) == text
    assert exact(data) == data


def test_an_absent_value_needs_no_exact_copy():
    assert exact(None) is None


@pytest.mark.parametrize("data", [None, b""])
def test_a_blank_header_is_no_identity(data):
    assert identity(data) is None


@pytest.mark.parametrize("data", [b"a", b"a" * IDENTITY_LENGTH, "ü".encode() * IDENTITY_LENGTH, b"trailing "])
def test_an_identity_that_fits_is_kept_as_it_is(data):
    assert identity(data) == data.decode()


@pytest.mark.parametrize("data", [b"a" * (IDENTITY_LENGTH + 1), b"\xff", b"nul\x00", b"\xff" * 5000])
def test_an_identity_that_no_column_holds_becomes_a_digest_that_stays_the_same(data):
    text = identity(data)

    assert text == identity(bytes(data))
    assert text != identity(data + b"!")
    assert len(text) <= IDENTITY_LENGTH
    assert "\x00" not in text


def test_an_escaped_byte_and_its_escape_are_different_identities():
    assert identity(b"\xff") != identity(b"\\xff")


def test_of_repeated_headers_the_last_one_counts():
    record = Record(topic="orders", headers=(("a", b"1"), ("b", b"2"), ("a", None)))

    assert record.header("a") is None
    assert record.header("b") == b"2"
    assert record.header("absent") is None


def test_the_identities_are_read_from_the_headers():
    headers = (("id", b"m-1"), ("dlq-message-key", b"order-7-paid"), ("dlq-tag", b"paid"))
    message = received(headers=headers, key=b"7")

    assert (message.message_id, message.message_key, message.tag) == ("m-1", "order-7-paid", "paid")
    assert (message.topic, message.key, message.group, message.attempt) == ("orders", "7", "shipping", 1)


def test_a_message_without_a_key_of_its_own_is_known_by_its_id():
    assert received(headers=(("id", b"m-1"),)).message_key == "m-1"


def test_a_foreign_message_is_known_by_its_place_in_the_topic():
    assert received().message_id == received().message_key == "orders-3-7"
    assert received(headers=(("id", b""),)).message_id == "orders-3-7"


def test_the_place_in_a_topic_with_the_longest_name_is_still_an_identity_that_fits():
    place = Record(topic="t" * 249, partition=123, offset=10**18)
    next_place = Record(topic="t" * 249, partition=123, offset=10**18 + 1)

    assert len(ReceivedMessage.of(place, "shipping").message_id) <= IDENTITY_LENGTH
    assert ReceivedMessage.of(place, "g").message_id != ReceivedMessage.of(next_place, "g").message_id


def test_a_hostile_record_can_be_looked_at_without_an_error():
    message = received(body=b"\xff", key=b"\x00\xff", headers=(("a", b"\xff"), ("b", None), ("a", b"\x00")))

    assert message.key == "\\x00\\xff"
    assert message.headers == {"a": "\\x00"}


def test_a_tombstone_is_not_an_empty_body():
    assert received(body=None).is_tombstone
    assert received(body=None).body == b""
    assert not received(body=b"").is_tombstone
    assert received().key is None


def test_text_and_json_are_read():
    assert received(body="ü".encode()).text() == "ü"
    assert received(body=b' {"a": [1.5]} ').json() == {"a": [1.5]}


def test_text_that_is_not_utf8_is_unreadable():
    with pytest.raises(UnreadableBody, match="UTF-8"):
        received(body=b"\xff").text()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (None, "is absent"),
        (b"", "is empty"),
        (b"{", "is not JSON"),
        (b"\xff", "UTF-8"),
        (b"NaN", "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b"[" * 100_000, "is not JSON"),
        (b"9" * 5000, "is not JSON"),
        (b"\xef\xbb\xbf{}", "is not JSON"),
    ],
)
def test_what_is_not_json_is_unreadable_and_the_error_says_why(body, why):
    with pytest.raises(UnreadableBody, match=why):
        received(body=body).json()


def test_what_is_published_as_json_is_received_as_it_was():
    body = {"text": 'ü\x00"\\', "numbers": [1, -2.5, 10**30], "nested": {"": None}}

    assert received(body=encode_body(body)).json() == json.loads(json.dumps(body))


def test_a_record_without_id_and_place_is_refused_since_it_could_not_be_told_from_the_next():
    with pytest.raises(InvalidMessage, match="no identity"):
        ReceivedMessage.of(Record(topic="orders", body=b"1"), "shipping")
