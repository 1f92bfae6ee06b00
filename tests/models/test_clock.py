from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from django_dlq import outbox
from django_dlq.models import OutboxMessage, RelayLane, database_now, in_future
from django_dlq.models.outbox_reading import Reading, Scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def far_away():
    """Put the session into another time zone, as a server's default or a project's init_command may on MariaDB."""
    if connection.vendor != "mysql":
        yield  # PostgreSQL's is set by Django itself, and SQLite has none
        return
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+09:00'")
        yield
        cursor.execute("SET time_zone = '+00:00'")


def test_the_databases_clock_is_asked_for_with_its_zone(far_away):
    now = database_now("default")

    assert now.tzinfo is not None
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_clock_moves_on_inside_a_transaction():
    first = database_now("default")
    while (second := database_now("default")) == first:
        pass

    assert second > first


def test_what_is_due_now_is_due_at_once():
    for _ in range(50):
        outbox.publish("now", "", delay=timedelta(0))
        assert OutboxMessage.objects.due().count() == OutboxMessage.objects.count()


def test_due_times_do_not_shift_with_the_sessions_time_zone(far_away):
    outbox.publish("soon", "", delay=timedelta(hours=1))
    outbox.publish("now", "", delay=timedelta(0))
    OutboxMessage.objects.create(topic="past", due_at=in_future(timedelta(hours=-1)))

    assert [row.topic for row in OutboxMessage.objects.due().order_by("topic")] == ["now", "past"]


def test_expiry_does_not_shift_with_the_sessions_time_zone(far_away):
    outbox.publish("later", "", expires_in=timedelta(hours=1))
    OutboxMessage.objects.create(topic="past", expires_at=in_future(timedelta(hours=-1)))

    expired = {row.topic: bool(row.is_expired) for row in Reading(Scope(), 10, using="default").page(0).rows}
    assert expired == {"later": False, "past": True}


def test_leases_do_not_shift_with_the_sessions_time_zone(far_away):
    assert 3 in RelayLane.objects.free()
    assert RelayLane.objects.take("me", [3], timedelta(hours=1)) == {3: 1}
    RelayLane.objects.keep("me", timedelta(hours=1))
    assert RelayLane.objects.take("you", [3], timedelta(hours=1)) == {}
    RelayLane.objects.update(leased_until=in_future(timedelta(seconds=-1)))
    assert RelayLane.objects.take("you", [3], timedelta(hours=1)) == {3: 2}


def test_what_the_database_fills_in_does_not_shift_either(far_away):
    row = OutboxMessage.objects.get(pk=outbox.publish("orders", "").pk)

    assert abs(row.created_at - datetime.now(UTC)) < timedelta(minutes=1)
