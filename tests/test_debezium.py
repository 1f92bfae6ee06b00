import json
import re
from datetime import timedelta

import pytest

from django_dlq import debezium
from django_dlq import message as wire
from django_dlq.debezium import as_relayed
from django_dlq.exceptions import RelayIsOff
from django_dlq.message import RESERVED, Record
from django_dlq.models import OutboxMessage
from tests.slots import SHARING

pytestmark = pytest.mark.once

EMPTY = {"tag": b"", "expires_at": None, "group": b"", "letter_id": None, "headers": b"[]", "raw_key": None}


def routed(*others, **values):
    """Return what the router makes of a row with these values; bytes as Connect's header converter writes them."""
    columns = {"message_key": b"1", **EMPTY, **values}
    made = tuple((header, columns[column]) for column, header in debezium.PLACEMENT.items())
    return Record(topic="orders", key=b"k", body=b"{}", headers=(*others, ("id", b"1"), *made))


@pytest.mark.parametrize(
    ("values", "headers"),
    [
        ({}, ()),
        ({"message_key": b"order-1"}, (("dlq-message-key", b"order-1"),)),
        ({"tag": b"paid"}, (("dlq-tag", b"paid"),)),
        ({"group": b"g", "letter_id": b"5"}, (("dlq-group", b"g"), ("dlq-letter", b"5"))),
        ({"expires_at": b"2026-01-02T03:04:05.678901Z"}, (("dlq-expires", b"2026-01-02T03:04:05.678901+00:00"),)),
        ({"expires_at": b"2026-01-02T03:04:05.6789Z"}, (("dlq-expires", b"2026-01-02T03:04:05.678900+00:00"),)),
        ({"expires_at": b"2026-01-02T03:04:05Z"}, (("dlq-expires", b"2026-01-02T03:04:05+00:00"),)),
    ],
)
def test_headers_are_those_that_the_relay_would_have_sent(values, headers):
    record = as_relayed(routed(**values))

    assert record.headers == (("id", b"1"), *headers)
    assert (record.key, record.body) == (b"k", b"{}")


def test_the_publishers_headers_are_headers_again_and_come_first():
    packed = b'[["a", "1"], ["a", "\\\\xff", "/w=="], ["n", null]]'

    assert as_relayed(routed(headers=packed)).headers == (("a", b"1"), ("a", b"\xff"), ("n", None), ("id", b"1"))


def test_headers_that_connect_adds_stay():
    record = as_relayed(routed(("traceparent", b"00-1"), headers=b'[["a", "1"]]'))

    assert record.headers == (("a", b"1"), ("traceparent", b"00-1"), ("id", b"1"))


def test_a_key_that_is_not_text_has_its_bytes_again():
    assert as_relayed(routed(raw_key=b"/w==")).key == b"\xff"


def test_a_record_of_the_relay_or_of_a_stranger_stays_as_it_is():
    record = Record(topic="orders", headers=(("id", b"1"), ("dlq-tag", b""), ("dlq-group", None)))

    assert as_relayed(record) is record


@pytest.mark.parametrize(
    "values",
    [
        {"headers": b""},
        {"headers": b"\xff"},
        {"headers": b"5"},
        {"headers": b'{"a": "b"}'},
        {"headers": b'[["a", 5]]'},
        {"headers": b"[" * 100_000},
        {"raw_key": b"%"},
        {"expires_at": b"soon"},
        {"expires_at": b"\xff"},
    ],
)
def test_headers_that_nobody_can_read_are_left_as_they_came(values):
    record = routed(**values)

    assert as_relayed(record) is record


def test_every_column_that_becomes_a_header_exists_and_every_header_is_reserved():
    columns = {field.column for field in OutboxMessage._meta.fields}

    assert set(debezium.PLACEMENT) <= columns
    assert {wire.ID, *debezium.PLACEMENT.values()} == RESERVED


def test_what_the_column_holds_is_what_is_read():
    headers = (("a", b"1"), ("b", b"\xff"), ("c", None))
    column = OutboxMessage._meta.get_field("headers")
    packed = column.value_to_string(OutboxMessage(headers=headers)).encode()

    assert as_relayed(routed(headers=packed)).headers == (*headers, ("id", b"1"))
    assert json.loads(packed)


@pytest.mark.parametrize(
    ("database", "broker", "name"),
    [
        ("shop", "default", "dlq_shop"),
        ("x" * 59, "default", "dlq_" + "x" * 59),
        ("shop", "east", "dlq_shop_east_00000000"),
        ("My-Shop", "east", "dlq_my_shop_east_00000000"),
        ("x" * 60, "default", "dlq_" + "x" * 50 + "_00000000"),
    ],
)
def test_a_slot_has_a_name_that_postgresql_takes_and_a_person_knows(database, broker, name):
    found = debezium.slot_name(database, broker)

    assert re.sub("_[0-9a-f]{8}$", "_00000000", found) == name
    assert len(found) <= debezium.LONGEST_SLOT


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("shop", "eu-1"), ("shop", "eu_1")),
        (("shop", "EU.1"), ("shop", "eu_1")),
        (("shop", "eu"), ("shop_eu", "default")),
        (("shop", "eu_west"), ("shop_eu", "west")),
        (("Shop", "default"), ("shop", "default")),
        (("x" * 60 + "a", "default"), ("x" * 60 + "b", "default")),
        (("x" * 60, "default"), ("x" * 60, "east")),
    ],
)
def test_no_two_brokers_share_a_slot_though_their_names_are_written_alike(one, other):
    assert debezium.slot_name(*one) != debezium.slot_name(*other)


def test_brokers_that_share_a_slot_all_the_same_are_told_together(settings):
    settings.DLQ_BROKERS = {"default": {}, **dict.fromkeys(SHARING)}

    assert debezium.brokers_by_slot("shop") == {
        "dlq_shop": ["default"],
        debezium.slot_name("shop", SHARING[0]): list(SHARING),
    }


def test_the_relay_is_off_where_the_outbox_has_a_retention(settings):
    debezium.expect_relay()
    settings.DLQ_OUTBOX_RETENTION = timedelta(days=1)

    with pytest.raises(RelayIsOff, match=r"Debezium sends the outbox.* dlq_prune"):
        debezium.expect_relay()
