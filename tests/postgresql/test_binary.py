"""What is read in the binary format is what Django's own cursor would have read."""

from datetime import timedelta

import pytest
from django.db import ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_dlq import outbox
from django_dlq.models import postgresql_binary
from django_dlq.models.outbox_reading import Reading, Scope
from django_dlq.models.outgoing import Outgoing
from django_dlq.models.postgresql_binary import reading_cursor

pytestmark = pytest.mark.django_db

EVERY_BYTE = bytes(range(256))


def read() -> list[Outgoing]:
    return Reading(Scope(), 10, using="default").page(0).rows


@pytest.fixture
def messages() -> None:
    with transaction.atomic():
        outbox.publish_many(
            [
                outbox.Message(
                    "t", bytes(range(256)), key="100 % ü", tag="'\\", headers={"h": b"\x00\xff"}, priority=3
                ),
                outbox.Message("t", "", expires_in=timedelta(days=1)),
                outbox.Message("t", "late", expires_in=timedelta(0)),
            ]
        )


def test_rows_are_the_same_as_through_djangos_cursor(messages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = read()
    monkeypatch.setattr(postgresql_binary, "ClientCursor", None)  # as where there is no psycopg 3
    assert read() == binary
    assert [row.record() for row in read()] == [row.record() for row in binary]
    assert [bool(row.is_expired) for row in binary] == [False, False, True, False]  # the urgent one is there twice


def test_without_time_zones_it_is_djangos_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    with reading_cursor(connection) as binary, connection.cursor() as django:
        assert type(binary.cursor) is not type(django.cursor)
    monkeypatch.setitem(connection.__dict__, "timezone", None)  # what it is without USE_TZ
    with reading_cursor(connection) as cursor, connection.cursor() as django:
        assert type(cursor.cursor) is type(django.cursor)


def test_errors_are_djangos(messages: None) -> None:
    with pytest.raises(ProgrammingError, match="no_such_column"), reading_cursor(connection) as cursor:
        cursor.execute("SELECT no_such_column FROM django_dlq_outboxmessage WHERE id = %s", [1])


def test_its_statements_can_be_captured(messages: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        read()
    assert len(captured) == 1
