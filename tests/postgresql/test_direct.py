"""BEGIN goes to the server with what each message says first, and nobody can tell from anything else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg import IsolationLevel
from psycopg.pq import Trace, TransactionStatus

from django_dlq import inbox, outbox
from django_dlq.message import ReceivedMessage
from django_dlq.models import InboxMessage, OutboxMessage
from tests.postgresql.configured import configured
from tests.postgresql.watching import WAYS, watching
from tests.shop.models import Box

pytestmark = pytest.mark.django_db(transaction=True)


def message(key: str = "1") -> ReceivedMessage:
    return inbox.message("orders", {}, message_key=key)


def pack(message: ReceivedMessage) -> None:
    Box.objects.create(order=message.message_key)


def counting(record: Path) -> Callable[[], int]:
    """Return a function that returns how often the server has answered since now, by libpq's own record."""
    connection.ensure_connection()
    written = record.open("wb")
    pgconn = connection.connection.pgconn
    pgconn.trace(written.fileno())
    pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)

    def count() -> int:
        pgconn.untrace()
        written.close()
        return len(re.findall(rb"^B\t\d+\tReadyForQuery\b", record.read_bytes(), re.MULTILINE))

    return count


@pytest.fixture
def journeys(tmp_path: Path) -> Callable[[], int]:
    """Return how often the server has answered since the test began."""
    return counting(tmp_path / "libpq")


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


@pytest.fixture
def no_cursors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every cursor fail that Django makes."""
    connection.ensure_connection()

    def refuse(*_: object) -> None:
        raise AssertionError("a cursor was made")

    monkeypatch.setattr(connection, "_cursor", refuse)


@pytest.mark.usefixtures("no_cursors")
def test_where_nobody_looks_the_inbox_row_needs_no_cursor() -> None:
    assert inbox.handle_once(message(), "shipping", lambda _: None)
    assert not inbox.handle_once(message(), "shipping", lambda _: None)


def test_all_texts_arrive_as_they_are() -> None:
    difficult = [" ", "'", "\\", "\\' OR 1=1 --", "%s", '"', "{,}", "é€😀", "$1", "E'\\x'", "\n\t"]
    for text in difficult:
        assert inbox.handle_once(message(text), text, pack)
        assert not inbox.handle_once(message(text), text, pack)
    with transaction.atomic():
        assert len(InboxMessage.objects.claim_many(map(message, difficult), "batch")) == len(difficult)
    assert {row.message_key for row in InboxMessage.objects.filter(group="batch")} == set(difficult)
    assert {(row.group, row.message_key) for row in InboxMessage.objects.exclude(group="batch")} == {
        (text, text) for text in difficult
    }


def test_a_message_that_is_published_first_costs_two_journeys(journeys: Callable[[], int]) -> None:
    with transaction.atomic():
        outbox.publish("orders", b"")
    assert journeys() == len(["BEGIN; INSERT", "COMMIT"])


@pytest.mark.usefixtures("no_cursors")
def test_where_nobody_looks_a_message_is_published_without_a_cursor() -> None:
    with transaction.atomic():
        outbox.publish("orders", b"1")
        outbox.publish("orders", b"2")


@pytest.mark.parametrize("server_binds", [False, True])
def test_all_that_is_published_arrives_as_it_is(server_binds: bool) -> None:
    difficult = [bytes(range(256)), b"", b"'", b"\\x00", b"\\", b"%s %% $1"]
    with configured(server_side_binding=server_binds):
        with transaction.atomic():
            rows = [
                outbox.publish("orders", body, key="'\\%s", tag='"', headers={"h": body}, priority=number)
                for number, body in enumerate(difficult)
            ]
        found = {row.pk: row for row in OutboxMessage.objects.all()}
    for number, (row, body) in enumerate(zip(rows, difficult, strict=True)):
        saved = found[row.pk]
        assert (bytes(saved.body), saved.key, saved.tag, saved.priority) == (body, "'\\%s", '"', number)
        assert saved.headers == row.headers == (("h", body),)
        assert saved.created_at == row.created_at


def test_what_postgresql_cannot_hold_is_refused_not_cut() -> None:
    with pytest.raises(DataError, match="NUL"):
        inbox.handle_once(message(), "ship\x00ping", pack)
    assert not InboxMessage.objects.exists()


def test_wrappers_and_the_log_see_each_statement() -> None:
    seen = []

    def watch(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        result = execute(sql, *rest)
        seen.append((sql.partition(" ")[0], rest[-1]["cursor"].rowcount))
        return result

    with connection.execute_wrapper(watch), CaptureQueriesContext(connection) as captured:
        inbox.handle_once(message(), "shipping", pack)
        inbox.handle_once(message(), "shipping", pack)

    assert seen == [("INSERT", 1), ("INSERT", 1), ("INSERT", 0)]
    words = [query["sql"].split()[0] for query in captured.captured_queries]
    assert words == ["BEGIN", "INSERT", "INSERT", "COMMIT", "BEGIN", "INSERT", "COMMIT"]


@pytest.mark.parametrize("how", WAYS)
def test_whoever_wants_to_see_statements_sees_the_inbox_row(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(how, monkeypatch) as seen:
        assert inbox.handle_once(message(), "shipping", lambda _: None)
    assert any("django_dlq_inboxmessage" in sql for sql in seen)


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
    # Such a cursor may lock nothing where the driver thinks that it commits each statement.
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


def test_where_the_server_binds_parameters_a_message_costs_no_more(tmp_path: Path) -> None:
    with configured(server_side_binding=True):
        journeys = counting(tmp_path / "libpq")
        assert inbox.handle_once(message(), "shipping", pack)
        assert not inbox.handle_once(message(), "shipping", pack)
        assert journeys() == len(["BEGIN; INSERT", "INSERT", "COMMIT", "BEGIN; INSERT", "COMMIT"])
    assert Box.objects.count() == 1
