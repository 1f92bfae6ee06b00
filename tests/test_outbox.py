import uuid
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.db.transaction import TransactionManagementError
from django.db.utils import ConnectionDoesNotExist

from django_dlq import outbox
from django_dlq.exceptions import (
    LONGEST_DELAY,
    BodyNotSerializable,
    InvalidMessage,
    MessageTooLarge,
    OutsideTransaction,
    PublishError,
)
from django_dlq.models import OutboxMessage, database_now
from django_dlq.outbox import Message
from tests.shop.models import Order

pytestmark = pytest.mark.django_db

MANY = 1000
"""As many as one INSERT takes, where the database does not limit it further."""


def topics():
    return list(OutboxMessage.objects.order_by("pk").values_list("topic", flat=True))


def test_a_message_is_written_as_it_will_travel():
    row = outbox.publish(
        "orders",
        {"ü": 1},
        key="7",
        message_key="order-7-paid",
        tag="paid",
        headers=[("trace", "a"), ("trace", b"\xff"), ("none", None)],
        priority=5,
    )

    row = OutboxMessage.objects.get(pk=row.pk)
    assert (row.topic, row.key, row.key_bytes, row.tag) == ("orders", "7", b"7", "paid")
    assert row.body_bytes == '{"ü":1}'.encode()
    assert row.headers == (("trace", b"a"), ("trace", b"\xff"), ("none", None))
    assert (row.message_key, row.priority, row.broker) == ("order-7-paid", 5, "default")
    assert (row.letter_id, row.group) == (None, "")
    assert str(row) == "orders order-7-paid"


def test_what_is_not_given_has_its_default():
    row = OutboxMessage.objects.get(pk=outbox.publish("orders", b"").pk)

    assert uuid.UUID(row.message_id).version == 7
    assert row.message_key == row.message_id
    assert (row.key, row.tag, row.headers, row.priority) == (None, "", (), 0)
    assert (row.due_at, row.expires_at) == (None, None)
    assert row.body_bytes == b""
    assert abs(row.created_at - database_now("default")) < timedelta(seconds=60)


def test_a_blank_message_key_is_the_messages_own_id():
    row = outbox.publish("orders", "", message_key="")

    assert row.message_key == row.message_id


def test_an_empty_key_is_not_an_absent_one():
    assert OutboxMessage.objects.get(pk=outbox.publish("orders", "", key="").pk).key_bytes == b""


def test_headers_may_come_from_a_generator():
    row = outbox.publish("orders", "", headers=((name, name) for name in "ab"))

    assert OutboxMessage.objects.get(pk=row.pk).headers == (("a", b"a"), ("b", b"b"))


def test_delay_and_expiry_are_counted_by_the_databases_clock():
    before = database_now("default")
    row = outbox.publish("orders", "", delay=timedelta(hours=1), expires_in=timedelta(hours=2))
    after = database_now("default")

    tolerance = timedelta(milliseconds=2)  # SQLite's clock has milliseconds
    assert before - tolerance <= row.due_at - timedelta(hours=1) <= after + tolerance
    assert before - tolerance <= row.expires_at - timedelta(hours=2) <= after + tolerance


@pytest.mark.parametrize("delay", [timedelta(0), LONGEST_DELAY])
def test_the_shortest_and_the_longest_delay_are_written(delay):
    row = outbox.publish("orders", "", delay=delay, expires_in=delay)

    assert row.due_at is not None
    assert row.expires_at - database_now("default") <= delay


@pytest.mark.parametrize("name", ["delay", "expires_in"])
@pytest.mark.parametrize(
    "span",
    [timedelta(microseconds=-1), 5, "1", LONGEST_DELAY + timedelta(microseconds=1), timedelta.max, timedelta.min],
)
def test_a_span_that_no_database_can_add_is_refused(name, span):
    with pytest.raises(InvalidMessage, match=name):
        outbox.publish("orders", "", **{name: span})
    assert topics() == []


@pytest.mark.parametrize("priority", [-1, 10, 1.5, "5", None, float("nan")])
def test_a_priority_is_a_whole_number_from_0_to_9(priority):
    with pytest.raises(InvalidMessage, match="priority"):
        outbox.publish("orders", "", priority=priority)


@pytest.mark.parametrize("text", ["nul\x00", "\ud800", "a" * 256, 5, b"bytes"])
@pytest.mark.parametrize("name", ["topic", "message_key", "tag"])
def test_text_that_a_column_cannot_hold_is_refused(name, text):
    with pytest.raises(InvalidMessage, match=name):
        outbox.publish(**{"topic": "orders", "body": "", name: text})
    assert topics() == []


@pytest.mark.parametrize("topic", ["", None])
def test_a_message_needs_a_topic(topic):
    with pytest.raises(InvalidMessage, match="topic"):
        outbox.publish(topic, "")


@pytest.mark.parametrize("name", ["topic", "message_key", "tag"])
def test_the_longest_text_fits(name):
    row = outbox.publish(**{"topic": "orders", "body": "", name: "ü" * 255})

    assert getattr(OutboxMessage.objects.get(pk=row.pk), name) == "ü" * 255


@pytest.mark.parametrize("key", ["nul\x00", "\udfff", 7, b"7", uuid.UUID(int=0)])
def test_a_key_is_text(key):
    with pytest.raises(InvalidMessage, match="key must be text"):
        outbox.publish("orders", "", key=key)
    assert topics() == []


def test_a_long_key_is_kept_whole():
    key = "ü" * 10_000

    assert OutboxMessage.objects.get(pk=outbox.publish("orders", "", key=key).pk).key == key


@pytest.mark.parametrize("broker", ["other", "", None, "Default"])
def test_an_unknown_broker_is_refused_and_the_known_ones_are_named(broker):
    with pytest.raises(InvalidMessage, match="it has: default"):
        outbox.publish("orders", "", broker=broker)


def test_without_any_broker_the_refusal_says_so(settings):
    settings.DLQ_BROKERS = {}

    with pytest.raises(InvalidMessage, match="it has: none"):
        outbox.publish("orders", "")


@pytest.mark.parametrize("body", [None, 5, {1}, {"x": float("nan")}, "\ud800"])
def test_a_body_that_cannot_travel_is_refused(body):
    with pytest.raises(BodyNotSerializable):
        outbox.publish("orders", body)
    assert topics() == []


@pytest.mark.parametrize("headers", [{"id": "1"}, {"dlq-group": "x"}, ["ab"], {"a": 5}])
def test_headers_that_cannot_travel_are_refused(headers):
    with pytest.raises(InvalidMessage):
        outbox.publish("orders", "", headers=headers)


@pytest.mark.parametrize(
    ("limit", "parts"),
    [(5, {"body": b"12345"}), (5, {"body": b"1", "key": "ü2"}), (6, {"body": b"1", "headers": {"ü": b"123"}})],
)
def test_key_body_and_headers_count_towards_the_size_in_bytes(settings, limit, parts):
    settings.DLQ_MAX_MESSAGE_BYTES = limit
    if "key" in parts:
        parts = {**parts, "body": parts["body"] + b"1"}
    outbox.publish("orders", **parts)

    with pytest.raises(MessageTooLarge, match=f"take {limit + 1} bytes; DLQ_MAX_MESSAGE_BYTES is {limit}"):
        outbox.publish("orders", **{**parts, "body": parts["body"] + b"!"})
    assert topics() == ["orders"]


def test_a_message_of_a_megabyte_is_kept_whole():
    body = bytes(range(256)) * 3900

    assert OutboxMessage.objects.get(pk=outbox.publish("orders", body).pk).body_bytes == body


def test_every_refusal_is_a_publish_error_and_the_python_error_it_resembles():
    assert issubclass(InvalidMessage, (PublishError, ValueError))
    assert issubclass(MessageTooLarge, ValueError)
    assert issubclass(BodyNotSerializable, TypeError)
    assert issubclass(OutsideTransaction, TransactionManagementError)
    assert all(issubclass(error, PublishError) for error in (MessageTooLarge, BodyNotSerializable, OutsideTransaction))


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    def test_outside_a_transaction_nothing_can_be_published(self):
        with pytest.raises(OutsideTransaction, match="atomic"):
            outbox.publish("orders", "")
        with pytest.raises(OutsideTransaction):
            outbox.publish_many([Message("orders", "")])
        with pytest.raises(OutsideTransaction):
            outbox.publish_many([])
        assert topics() == []

    def test_a_message_is_there_exactly_if_its_business_rows_are(self):
        with transaction.atomic():
            Order.objects.create(number="1")
            outbox.publish("kept", "")
        with suppress(ZeroDivisionError), transaction.atomic():
            Order.objects.create(number="2")
            outbox.publish("gone", "")
            outbox.publish_many([Message("gone", "")])
            raise ZeroDivisionError

        assert topics() == ["kept"]
        assert Order.objects.get().number == "1"

    def test_a_savepoint_that_is_rolled_back_takes_its_messages_with_it(self):
        with transaction.atomic():
            outbox.publish("outer", "")
            with suppress(ZeroDivisionError), transaction.atomic():
                outbox.publish("inner", "")
                with transaction.atomic():
                    outbox.publish("innermost", "")
                raise ZeroDivisionError
            with transaction.atomic():
                outbox.publish("second", "")

        assert topics() == ["outer", "second"]

    def test_a_refused_message_leaves_the_transaction_usable(self):
        with transaction.atomic():
            with pytest.raises(InvalidMessage):
                outbox.publish("orders", "", key="\ud800")
            with pytest.raises(InvalidMessage):
                outbox.publish("orders", "", delay=timedelta.max)
            outbox.publish("kept", "")

        assert topics() == ["kept"]

    def test_an_insert_that_fails_takes_the_message_with_it(self):
        def publish_and_fail():
            with transaction.atomic():
                Order.objects.create(pk=outbox.publish("orders", "").pk)
                Order.objects.create(pk=Order.objects.get().pk)

        with pytest.raises(DatabaseError):
            publish_and_fail()

        assert topics() == []


def test_many_messages_are_written_in_their_order():
    messages = [Message("orders", {"n": n}, key="1", delay=timedelta(1) if n else None) for n in range(3)]
    rows = outbox.publish_many(iter(messages))

    assert [row.pk for row in rows] == sorted(row.pk for row in rows)
    stored = OutboxMessage.objects.order_by("pk")
    assert [row.body_bytes for row in stored] == [b'{"n":0}', b'{"n":1}', b'{"n":2}']
    assert [row.due_at for row in rows] == [row.due_at for row in stored]
    assert rows[0].due_at is None
    assert rows[1].due_at is not None


def test_many_messages_take_few_statements(django_assert_max_num_queries):
    messages = [Message("orders", {})] * MANY
    with django_assert_max_num_queries(20):  # SQLite limits the values in one INSERT
        rows = outbox.publish_many(messages)
    assert len({row.message_id for row in rows}) == MANY


def test_more_messages_than_one_insert_takes_are_all_written():
    rows = outbox.publish_many([Message("orders", {})] * (MANY + 1))

    assert OutboxMessage.objects.count() == len(rows) == MANY + 1


@pytest.mark.parametrize(
    "wrong",
    [
        Message("", ""),
        Message("orders", None),
        Message("orders", "", headers={"id": "1"}),
        Message("o", b"1" * (10**6 + 1)),
    ],
)
def test_one_wrong_message_among_many_writes_none(wrong):
    with pytest.raises(PublishError):
        outbox.publish_many([Message("orders", {}), wrong, Message("orders", {})])
    assert topics() == []


def test_a_source_of_messages_that_fails_writes_none():
    def messages():
        yield Message("orders", {})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outbox.publish_many(messages())
    assert topics() == []


def test_no_messages_are_no_work(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert list(outbox.publish_many([])) == []


def test_an_unknown_database_is_named():
    with pytest.raises(ConnectionDoesNotExist, match="nowhere"):
        outbox.publish("orders", "", using="nowhere")


def test_the_database_may_be_named():
    assert outbox.publish("orders", "", using="default")._state.db == "default"
    assert len(outbox.publish_many([Message("orders", {})], using="default")) == 1


class Elsewhere:
    def db_for_write(self, model, **hints):
        return "elsewhere" if model is OutboxMessage else None


def test_the_routers_say_which_database_it_is(settings):
    settings.DATABASE_ROUTERS = [Elsewhere()]

    with pytest.raises(ConnectionDoesNotExist, match="elsewhere"):
        outbox.publish("orders", "")


def test_headers_of_every_kind_come_back_as_they_were():
    headers = (("ü", b"text"), ("ü", b"\x00\xff"), ("absent", None), ("empty", b""), ("json", b'["x",null]'))
    row = outbox.publish("orders", "", headers=headers)

    assert OutboxMessage.objects.get(pk=row.pk).headers == headers


@pytest.mark.parametrize("option", [{"delay": timedelta(seconds=1)}, {"priority": 1}])
def test_what_debezium_cannot_do_is_refused_where_it_sends(settings, option):
    settings.DLQ_OUTBOX_RETENTION = timedelta(days=3)

    with pytest.raises(InvalidMessage, match="neither delay nor priority"):
        outbox.publish("orders", "", **option)
    outbox.publish("orders", "", delay=timedelta(0), priority=0, expires_in=timedelta(1))
    assert topics() == ["orders"]
