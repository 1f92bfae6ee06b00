"""The server keeps the plan of what each message says, where the connection is to it and not to a pooler."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DataError, ProgrammingError, connection, transaction

from django_dlq import inbox, outbox
from django_dlq.models import InboxMessage, OutboxMessage
from django_dlq.models.postgresql_plans import TIMES, Plans
from tests.postgresql.configured import configured
from tests.shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def new_connection() -> Iterator[None]:
    with configured():
        yield


def publish() -> None:
    with transaction.atomic():
        outbox.publish("orders", b"1")


def publish_later() -> None:
    with transaction.atomic():
        run("SELECT 1")
        outbox.publish("orders", b"1")


def handle(number: int) -> bool:
    message = inbox.message("orders", b"1", message_key=str(number))
    return inbox.handle_once(message, "shipping", lambda _: None)


def run(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def prepared() -> list[str]:
    """Return what the server has prepared for this connection, as it was said."""
    return [str(sql) for (sql,) in run("SELECT statement FROM pg_prepared_statements ORDER BY prepare_time")]


def test_what_a_connection_says_again_and_again_is_prepared_once() -> None:
    for number in range(TIMES):
        handle(number)
        publish()
    assert prepared() == []
    for number in range(TIMES, TIMES + 5):
        assert handle(number)
        assert not handle(number)
        publish()
    claim, insert = prepared()
    assert 'INSERT INTO "django_dlq_inboxmessage"' in claim
    assert 'INSERT INTO "django_dlq_outboxmessage"' in insert
    assert InboxMessage.objects.count() == OutboxMessage.objects.count() == TIMES + 5


def test_it_is_carried_out_as_prepared() -> None:
    for _ in range(TIMES + 3):
        publish()
    ((times,),) = run("SELECT generic_plans + custom_plans FROM pg_prepared_statements")
    assert times == 3


def test_behind_a_pooler_nothing_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    hear = Plans.hear
    # It tells its clients other numbers than those of the server's processes.
    monkeypatch.setattr(Plans, "hear", lambda plans, first, process: hear(plans, first, process=process + 1))
    for number in range(TIMES + 5):
        handle(number)
        publish()
    assert prepared() == []


def test_a_message_is_handled_though_somebody_has_dropped_all_that_was_prepared() -> None:
    for number in range(TIMES + 1):
        handle(number)
    run("DISCARD ALL")
    assert handle(100)
    assert not handle(100)
    assert len(prepared()) == 1


def test_a_transaction_in_which_that_shows_fails_and_the_next_does_not() -> None:
    for _ in range(TIMES + 1):
        publish()
    run("DISCARD ALL")
    with pytest.raises(ProgrammingError, match="does not exist"):
        publish_later()
    publish_later()
    assert OutboxMessage.objects.count() == TIMES + 2


def test_a_table_may_be_changed_while_it_is_prepared() -> None:
    for _ in range(TIMES + 1):
        publish()
    run("ALTER TABLE django_dlq_outboxmessage ALTER id TYPE integer")
    try:
        publish()
    finally:
        run("ALTER TABLE django_dlq_outboxmessage ALTER id TYPE bigint")
    publish()
    assert OutboxMessage.objects.count() == TIMES + 3


def test_what_is_refused_when_it_is_prepared_leaves_all_as_it_was() -> None:
    for number in range(TIMES):
        handle(number)
    with pytest.raises(DataError, match="value too long"), transaction.atomic():
        InboxMessage.objects.claim(inbox.message("orders", b"1", message_key="1"), "s" * 101)
    assert handle(TIMES)
    assert handle(TIMES + 1)
    assert len(prepared()) == 1


@pytest.mark.parametrize(
    ("options", "are_prepared"),
    [({"prepare_threshold": 5}, False), ({"prepare_threshold": 5, "server_side_binding": True}, True)],
)
def test_what_a_handler_says_is_prepared_with_the_two_options_that_the_manual_names(
    options: dict[str, Any], *, are_prepared: bool
) -> None:
    with configured(**options):
        for number in range(TIMES + 3):
            message = inbox.message("orders", b"1", message_key=str(number))
            inbox.handle_once(message, "shipping", lambda message: Order.objects.create(number=message.message_key))
        assert any("shop_order" in statement for statement in prepared()) is are_prepared
        assert any("inboxmessage" in statement for statement in prepared())
    assert Order.objects.count() == InboxMessage.objects.count() == TIMES + 3
