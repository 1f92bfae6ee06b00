"""The statements written by hand keep what the ORM would keep; elsewhere the ORM itself is tested with the same."""

import pytest
from django.db import transaction

from django_dlq import outbox
from django_dlq.models import OutboxMessage, PublishedMessage, StoredMessage

pytestmark = pytest.mark.django_db

NASTY = 'it\'s "quoted", {braced}, NULL, back\\slash, \t and ü'
EVERY_BYTE = bytes(range(256))


def columns(row: StoredMessage) -> dict[str, object]:
    """Return what travels of a row, byte for byte whatever the driver calls bytes."""
    values = row.message_columns()
    return {name: bytes(value) if isinstance(value, memoryview) else value for name, value in values.items()}


def messages() -> list[outbox.Message]:
    return [
        outbox.Message("t", EVERY_BYTE, key=NASTY, message_key=NASTY, tag=NASTY, priority=9),
        outbox.Message("t", b"", headers=[("h", EVERY_BYTE), ("h", None), (NASTY, NASTY)]),
        outbox.Message("t", NASTY),
    ]


@pytest.mark.parametrize("count", [1, 3, 60])
def test_rows_are_read_as_they_were_written(count: int) -> None:
    with transaction.atomic():
        written = outbox.publish_many((messages() * 20)[:count])
    read = OutboxMessage.objects.order_by("id")
    assert [(row.pk, columns(row)) for row in read] == [(row.pk, columns(row)) for row in written]


@pytest.mark.parametrize("times", [1, 20])
def test_several_rows_without_a_body_or_a_key_stay_without(times: int) -> None:
    rows = [
        OutboxMessage(topic="t", message_id=f"m-{n}", message_key="k", raw_key=raw)
        for n, raw in enumerate([None, b"\xff"] * times)
    ]
    OutboxMessage.objects.add(rows)
    read = OutboxMessage.objects.order_by("id")
    assert [(row.body_bytes, row.key_bytes) for row in read] == [(None, None), (None, b"\xff")] * times


def test_a_row_that_was_added_tells_what_the_database_computed() -> None:
    with transaction.atomic():
        row, other = outbox.publish_many([outbox.Message("t", "1"), outbox.Message("t", "2")])
    assert row.created_at == other.created_at == OutboxMessage.objects.get(pk=row.pk).created_at


def test_the_history_has_every_column_of_what_was_sent() -> None:
    with transaction.atomic():
        outbox.publish_many(messages())
    rows = list(OutboxMessage.objects.order_by("id"))
    OutboxMessage.objects.complete([(rows[0].pk, 3, 2**40), (rows[1].pk, None, None), (rows[2].pk, 0, 0)])
    history = PublishedMessage.objects.order_by("outbox_id")
    assert [columns(sent) for sent in history] == [columns(row) for row in rows]
    assert [(sent.outbox_id, sent.priority, sent.created_at) for sent in history] == [
        (row.pk, row.priority, row.created_at) for row in rows
    ]
    assert [(sent.partition, sent.offset) for sent in history] == [(3, 2**40), (None, None), (0, 0)]
    assert not OutboxMessage.objects.exists()


def test_only_what_was_confirmed_leaves_the_outbox() -> None:
    with transaction.atomic():
        first, second = outbox.publish_many([outbox.Message("t", "1"), outbox.Message("t", "2")])
    OutboxMessage.objects.complete([(first.pk, 0, 0)])
    assert list(OutboxMessage.objects.values_list("pk", flat=True)) == [second.pk]
    assert list(PublishedMessage.objects.values_list("outbox_id", flat=True)) == [first.pk]


@pytest.mark.parametrize("step", [1, 2, 50], ids=["side by side", "with gaps", "far apart"])
def test_each_row_that_moves_has_its_own_place_and_those_between_stay(step: int) -> None:
    with transaction.atomic():
        outbox.publish_many([outbox.Message("t", str(n)) for n in range(150)])
    rows = list(OutboxMessage.objects.order_by("id"))
    chosen = rows[::step][:3]
    places = [(row.pk, row.pk % 7, row.pk * 2**33) for row in (chosen[2], chosen[0], chosen[1])]

    assert OutboxMessage.objects.complete(places) == 3

    history = PublishedMessage.objects.order_by("outbox_id")
    assert [(sent.outbox_id, sent.partition, sent.offset) for sent in history] == [
        (row.pk, row.pk % 7, row.pk * 2**33) for row in chosen
    ]
    left = set(OutboxMessage.objects.values_list("pk", flat=True))
    assert left == {row.pk for row in rows} - {row.pk for row in chosen}
