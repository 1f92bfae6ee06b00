"""What the benchmarks write by hand must be what the app would have written."""

import pytest
from django.db import connection

from benchmarks import raw
from benchmarks.bodies import body
from benchmarks.relay import fill
from django_dlq import outbox
from django_dlq.models import OutboxMessage

pytestmark = pytest.mark.django_db

OWN = ("id", "message_id", "message_key", "created_at")


def rows() -> list[dict[str, object]]:
    """Return what is in the outbox, without what differs from message to message, and empty it."""
    found = [
        {name: row[name] for name in row if name not in OWN} for row in OutboxMessage.objects.order_by("id").values()
    ]
    OutboxMessage.objects.all().delete()
    for row in found:
        row["body"] = bytes(row["body"])  # type: ignore[call-overload]
    return found


@pytest.fixture
def published() -> list[dict[str, object]]:
    """Return the rows that publish_many writes."""
    outbox.publish_many(outbox.Message("orders", body(n), key=fill.distinct(n)) for n in range(3))
    return rows()


def test_copied_messages_are_as_if_published(published: list[dict[str, object]]) -> None:
    connection.ensure_connection()
    fill.copy(connection.connection, "orders", 3)
    assert rows() == published


def test_messages_by_hand_are_as_if_published(published: list[dict[str, object]]) -> None:
    connection.ensure_connection()
    keys = [fill.distinct(n) for n in range(3)]
    raw.publish_many(connection.connection, "orders", [(key, body(n)) for n, key in enumerate(keys)])
    assert rows() == published
    for n, key in enumerate(keys):
        raw.publish(connection.connection, "orders", key, body(n))
    assert rows() == published
