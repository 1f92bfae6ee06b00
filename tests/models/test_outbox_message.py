from datetime import timedelta

import pytest

from django_dlq import outbox
from django_dlq.message import ReceivedMessage
from django_dlq.models import OutboxMessage, PublishedMessage, database_now, in_future, key_columns
from django_dlq.outbox import Message

pytestmark = pytest.mark.django_db


def topics(rows):
    return [row.topic for row in rows]


def test_messages_are_due_when_their_time_has_come():
    OutboxMessage.objects.create(topic="at once")
    OutboxMessage.objects.create(topic="past", due_at=in_future(timedelta(seconds=-1)))
    OutboxMessage.objects.create(topic="future", due_at=in_future(timedelta(minutes=1)))

    assert topics(OutboxMessage.objects.due().order_by("id")) == ["at once", "past"]


def test_elders_are_the_earlier_less_urgent_messages_of_the_same_key():
    elder = outbox.publish("orders", "", key="7")
    elder_of_some_urgency = outbox.publish("orders", "", key="7", priority=4)
    outbox.publish("orders", "", key="7", delay=timedelta(hours=1))
    outbox.publish("orders", "", key="8")
    outbox.publish("bills", "", key="7")
    outbox.publish("orders", "", key="7", priority=5)
    urgent = outbox.publish("orders", "", key="7", priority=5)
    outbox.publish("orders", "", key="7")

    found = OutboxMessage.objects.elders_of([urgent]).order_by("id")
    assert [row.pk for row in found] == [elder.pk, elder_of_some_urgency.pk]
    assert not OutboxMessage.objects.elders_of([]).exists()


def test_a_batch_of_urgent_messages_has_elders_too():
    elder = outbox.publish("orders", "", key="0")
    urgent = outbox.publish_many([Message("orders", "", key=str(n), priority=1) for n in range(2000)])

    assert [row.pk for row in OutboxMessage.objects.elders_of(urgent)] == [elder.pk]


def test_a_record_carries_the_publishers_headers_and_then_this_apps():
    row = outbox.publish(
        "orders", b"\xff", key="ü", message_key="k", tag="paid", headers=[("a", None)], expires_in=timedelta(hours=1)
    )
    record = OutboxMessage.objects.get(pk=row.pk).record()

    assert (record.topic, record.key, record.body) == ("orders", "ü".encode(), b"\xff")
    assert record.headers == (
        ("a", None),
        ("id", row.message_id.encode()),
        ("dlq-message-key", b"k"),
        ("dlq-tag", b"paid"),
        ("dlq-expires", row.expires_at.isoformat().encode()),
    )


def test_what_is_not_set_is_not_carried():
    row = outbox.publish("orders", "")

    assert row.record().headers == (("id", row.message_id.encode()),)


def test_a_replay_carries_its_letter_and_its_group():
    row = OutboxMessage(topic="orders", message_id="m", message_key="m", letter_id=7, group="grüße")

    assert row.record().headers == (("id", b"m"), ("dlq-group", "grüße".encode()), ("dlq-letter", b"7"))


def test_what_is_sent_is_received_with_the_same_identities():
    row = outbox.publish("orders", {"n": 1}, key="7", message_key="k", tag="paid")
    received = ReceivedMessage.of(row.record(), "shipping")

    assert (received.message_id, received.message_key, received.tag) == (row.message_id, "k", "paid")


def test_a_key_that_is_not_text_travels_exactly():
    assert OutboxMessage(**key_columns(b"\xff\x00")).record().key == b"\xff\x00"
    assert OutboxMessage(**key_columns(b"plain")).record().key == b"plain"
    assert OutboxMessage(**key_columns(None)).record().key is None
    assert key_columns(b"\xff") == {"key": "\\xff", "raw_key": b"\xff"}
    assert key_columns(b"plain") == {"key": "plain", "raw_key": None}


def test_confirmed_messages_move_to_the_history_whole():
    rows = outbox.publish_many(
        [
            Message("orders", b"\x00\xff", key="7", message_key="k", tag="paid", headers={"a": b"\xff"}, priority=3),
            Message("orders", "", delay=timedelta(0), expires_in=timedelta(1)),
            Message("stays", ""),
        ]
    )
    first = OutboxMessage.objects.get(pk=rows[0].pk)
    OutboxMessage.objects.complete([(rows[0].pk, 2, 10**12), (rows[1].pk, None, None)])

    assert topics(OutboxMessage.objects.all()) == ["stays"]
    sent, other = PublishedMessage.objects.order_by("outbox_id")
    assert sent.message_columns() | {"body": b"", "raw_key": None} == first.message_columns() | {"body": b""}
    assert (sent.body_bytes, sent.headers, sent.key_bytes) == (b"\x00\xff", (("a", b"\xff"),), b"7")
    assert (sent.outbox_id, sent.partition, sent.offset, sent.priority) == (first.pk, 2, 10**12, 3)
    assert (sent.created_at, sent.letter_id, sent.group) == (first.created_at, None, "")
    assert database_now("default") - sent.published_at < timedelta(minutes=1)
    assert (other.partition, other.offset) == (None, None)
    assert str(sent) == "orders k"


def test_the_history_of_a_replay_names_its_letter_and_group():
    row = OutboxMessage.objects.create(topic="orders", message_id="m", message_key="m", letter_id=7, group="shipping")
    OutboxMessage.objects.complete([(row.pk, 0, 0)])

    sent = PublishedMessage.objects.get()
    assert (sent.letter_id, sent.group) == (7, "shipping")


def test_where_no_history_is_kept_confirmed_messages_are_only_deleted(settings):
    settings.DLQ_PUBLISHED_RETENTION = timedelta(0)
    rows = outbox.publish_many([Message("orders", ""), Message("stays", "")])
    OutboxMessage.objects.using("default").complete([(rows[0].pk, 0, 0)])

    assert topics(OutboxMessage.objects.all()) == ["stays"]
    assert not PublishedMessage.objects.exists()


def test_a_history_without_end_is_kept_too(settings):
    settings.DLQ_PUBLISHED_RETENTION = None
    OutboxMessage.objects.complete([(outbox.publish("orders", "").pk, 0, 0)])

    assert PublishedMessage.objects.count() == 1


def test_history_older_than_an_age_is_found():
    OutboxMessage.objects.complete([(outbox.publish("orders", "").pk, 0, 0)])

    assert PublishedMessage.objects.older_than(timedelta(seconds=-60)).exists()
    assert not PublishedMessage.objects.older_than(timedelta(seconds=60)).exists()


def test_new_rows_are_in_the_database_and_know_it():
    rows = outbox.publish_many([Message("orders", {"n": n}, headers={"a": "1"}) for n in range(3)])

    for row in (*rows, outbox.publish("orders", {})):
        assert (row._state.adding, row._state.db) == (False, "default")
        stored = OutboxMessage.objects.get(pk=row.pk)
        assert stored.message_columns() | {"body": row.body_bytes} == row.message_columns()
        assert row.created_at == stored.created_at
