"""What is read along the indexes is what Django's own cursor would have read, and sooner."""

from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import ProgrammingError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from django_dlq import outbox, switches
from django_dlq.models import PublishedMessage, compiled
from django_dlq.models.outbox_reading import Reading, Scope
from django_dlq.models.outgoing import Outgoing, records
from django_dlq.models.postgresql_reading import ALONG_INDEXES, Between, can_read
from django_dlq.relay import Relay
from tests.postgresql.configured import configured
from tests.postgresql.watching import WAYS, watching

pytestmark = pytest.mark.django_db

EVERY_BYTE = bytes(range(256))


def page() -> list[Outgoing]:
    return Reading(Scope(), 10, using="default").page(0).rows


@pytest.fixture
def messages() -> None:
    with transaction.atomic():
        outbox.publish_many(
            [
                outbox.Message("t", EVERY_BYTE, key="100 % ü", tag="'\\", headers={"h": EVERY_BYTE}, priority=3),
                outbox.Message("t", "", expires_in=timedelta(days=1)),
                outbox.Message("t", "late", expires_in=timedelta(0)),
            ]
        )


def test_rows_are_the_same_as_through_djangos_cursor(messages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = page()
    monkeypatch.setattr(compiled, "can_read", lambda _: False)
    assert page() == binary
    assert records(page()) == records(binary)
    assert [bool(row.is_expired) for row in binary] == [False, False, True, False]  # the urgent one is there twice


def test_the_transaction_that_it_is_read_in_goes_on_as_before(messages: None) -> None:
    assert page() == page()
    with connection.cursor() as cursor:
        for name in ALONG_INDEXES:
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == ("on",), name


@pytest.mark.django_db(transaction=True)
def test_the_connection_that_it_is_read_on_stays_as_it_was(messages: None) -> None:
    assert page() == page()
    test_the_transaction_that_it_is_read_in_goes_on_as_before(messages)


WHAT_APPLIES = "SELECT " + ", ".join(f"current_setting('{name}')" for name in ALONG_INDEXES) + ", %s::bytea, '100 %%'"


def test_what_the_planner_must_not_choose_it_does_not() -> None:
    (row,) = Between(f"{WHAT_APPLIES}, %s", [EVERY_BYTE, 7], [7]).read(connections["default"], [8], tuple)
    assert row == (*["off"] * len(ALONG_INDEXES), EVERY_BYTE, "100 %", 8)


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_that_takes_one_round_trip_and_no_cursor(tmp_path: Path) -> None:
    connection.ensure_connection()
    server: Any = connection.connection
    with (tmp_path / "trace").open("wb") as trace:
        server.pgconn.trace(trace.fileno())
        test_what_the_planner_must_not_choose_it_does_not()
        server.pgconn.untrace()
    said = (tmp_path / "trace").read_bytes()
    assert said.count(b"ReadyForQuery") == 1
    assert b"DECLARE" not in said
    with transaction.atomic():
        test_what_the_planner_must_not_choose_it_does_not()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("how", WAYS)
def test_whoever_wants_to_see_statements_sees_the_page(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(how, monkeypatch) as seen:
        page()
    assert any("django_dlq_outboxmessage" in sql for sql in seen)


@pytest.mark.django_db(transaction=True)
def test_where_the_caller_commits_for_himself_nothing_is_left_planned(messages: None) -> None:
    connection.set_autocommit(False)
    try:
        assert page()
        test_the_transaction_that_it_is_read_in_goes_on_as_before(messages)
    finally:
        connection.rollback()
        connection.set_autocommit(True)


@pytest.mark.django_db(transaction=True)
def test_errors_are_djangos_and_the_next_statement_goes_on(messages: None) -> None:
    with pytest.raises(ProgrammingError, match="no_such_column"):
        Between("SELECT no_such_column FROM django_dlq_outboxmessage WHERE id = %s", [1], [1]).read(
            connections["default"], [1], tuple
        )
    assert page()


def test_it_is_one_statement_that_can_be_captured(messages: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        page()
    assert [query["sql"][:9] for query in captured] == ["SET LOCAL"]


def test_without_time_zones_or_psycopg_3_it_is_left_to_django() -> None:
    class Double:
        """A connection as can_read sees it."""

        vendor, timezone, connection = "postgresql", UTC, connection.connection

        def ensure_connection(self) -> None:
            """There is one."""

    double: Any = Double()
    assert can_read(double)
    double.timezone = None
    assert not can_read(double)
    double.timezone, double.connection = UTC, object()  # what psycopg2 has is another
    assert not can_read(double)
    double.vendor, double.connection = "sqlite", connection.connection
    assert not can_read(double)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pipelined", [False, True])
def test_with_parameters_that_the_server_binds_all_is_sent_as_ever(pipelined: bool) -> None:
    before = page()
    with configured(server_side_binding=True):
        with transaction.atomic():
            outbox.publish_many([outbox.Message("t", EVERY_BYTE, key="100 % ü") for _ in range(10)])
            outbox.publish("t", "'; %s", key="1", priority=5)
            outbox.publish("t", "", delay=timedelta(0))
            switches.pause(topic="t", key="other % '", actor="ana", reason="-")
        relay = Relay(pipelined=pipelined)
        while relay.run_once():
            pass
        relay.close()
        assert page() == before
    assert PublishedMessage.objects.count() == 12
