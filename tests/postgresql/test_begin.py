"""BEGIN goes to the server with the inbox row, and nobody can tell from anything else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg import IsolationLevel
from psycopg.pq import Trace, TransactionStatus

from django_dlq import inbox
from django_dlq.message import ReceivedMessage
from django_dlq.models import InboxMessage
from tests.postgresql.configured import configured
from tests.shop.models import Box

pytestmark = pytest.mark.django_db(transaction=True)


def message(key: str = "1") -> ReceivedMessage:
    return inbox.message("orders", {}, message_key=key)


def pack(message: ReceivedMessage) -> None:
    Box.objects.create(order=message.message_key)


@pytest.fixture
def journeys(tmp_path: Path) -> Callable[[], int]:
    """Return how often the server has answered, by libpq's own record, since that was asked last."""
    connection.ensure_connection()
    record = tmp_path / "libpq"
    written = record.open("wb")
    pgconn = connection.connection.pgconn
    pgconn.trace(written.fileno())
    pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)

    def count() -> int:
        pgconn.untrace()
        written.close()
        return len(re.findall(rb"^B\t\d+\tReadyForQuery\b", record.read_bytes(), re.MULTILINE))

    return count


def test_a_message_costs_three_journeys(journeys: Callable[[], int]) -> None:
    assert inbox.handle_once(message(), "shipping", pack)
    assert journeys() == len(["BEGIN; INSERT", "INSERT", "COMMIT"])


def test_a_batch_costs_three_journeys(journeys: Callable[[], int]) -> None:
    with transaction.atomic():
        assert len(InboxMessage.objects.claim_many([message("1"), message("2")], "shipping")) == 2
        pack(message())
    assert journeys() == len(["BEGIN; INSERT", "INSERT", "COMMIT"])


def test_a_message_that_waits_its_turn_costs_no_more(journeys: Callable[[], int]) -> None:
    with transaction.atomic():
        assert InboxMessage.objects.claim_in_turn(message(), "shipping", "order-1")
        pack(message())
    assert journeys() == len(["BEGIN; INSERT", "INSERT", "COMMIT"])


def test_inside_a_transaction_no_other_begins(journeys: Callable[[], int]) -> None:
    with transaction.atomic():
        pack(message())
        with transaction.atomic():
            assert InboxMessage.objects.claim(message(), "shipping")
        assert connection.connection.pgconn.transaction_status == TransactionStatus.INTRANS
    assert journeys() == len(["BEGIN", "INSERT", "SAVEPOINT", "INSERT", "RELEASE", "COMMIT"])


def test_wrappers_see_each_statement_as_ever_and_the_log_what_is_sent() -> None:
    seen = []

    def watch(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        seen.append((sql.partition(" ")[0], rest[-1]["cursor"].rowcount))
        return result

    with connection.execute_wrapper(watch), CaptureQueriesContext(connection) as captured:
        inbox.handle_once(message(), "shipping", pack)
        inbox.handle_once(message(), "shipping", pack)

    assert seen == [("INSERT", 1), ("INSERT", 1), ("INSERT", 0)]
    words = [" ".join(query["sql"].split()[:2]) for query in captured.captured_queries]
    claimed = ["BEGIN", "BEGIN; INSERT"]  # the first is Django's own word for what it leaves to the driver
    assert words == [*claimed, "INSERT INTO", "COMMIT", *claimed, "COMMIT"]


def test_a_wrapper_may_speak_first() -> None:
    def greet(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if "django_dlq_inboxmessage" in sql:
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('dlq.tenant', 'ana', true)")
        return execute(sql, *rest)

    def handle(message: ReceivedMessage) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('dlq.tenant')")
            assert cursor.fetchone() == ("ana",)

    notices: list[object] = []
    connection.ensure_connection()
    connection.connection.add_notice_handler(notices.append)
    with connection.execute_wrapper(greet):
        assert inbox.handle_once(message(), "shipping", handle)
    assert notices == []  # the server gives one for a BEGIN inside a transaction


def test_a_handler_may_lock_rows_through_a_cursor_on_the_server() -> None:
    # A driver that thinks that it commits each statement holds such a cursor open beyond that, which may not lock.
    Box.objects.create(order="1")

    def lock(message: ReceivedMessage) -> None:
        assert [box.order for box in Box.objects.select_for_update().iterator()] == ["1"]

    assert inbox.handle_once(message(), "shipping", lock)


def test_what_the_server_refuses_leaves_a_connection_that_begins_again() -> None:
    with pytest.raises(DataError), transaction.atomic():
        InboxMessage.objects.claim(message(), "s" * 101)

    assert inbox.handle_once(message(), "shipping", pack)
    assert connection.connection.autocommit is True
    assert connection.connection.pgconn.transaction_status == TransactionStatus.IDLE


def test_a_transaction_of_another_kind_begins_as_it_wants_to() -> None:
    found = []

    def look(message: ReceivedMessage) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_isolation")
            found.append(cursor.fetchone()[0])

    with configured(isolation_level=IsolationLevel.SERIALIZABLE):
        inbox.handle_once(message("1"), "shipping", look)
    inbox.handle_once(message("2"), "shipping", look)
    assert found == ["serializable", "read committed"]


def test_with_parameters_that_the_server_binds_begin_goes_alone() -> None:
    with configured(server_side_binding=True):
        assert inbox.handle_once(message(), "shipping", pack)
        assert not inbox.handle_once(message(), "shipping", pack)
    assert Box.objects.count() == 1
