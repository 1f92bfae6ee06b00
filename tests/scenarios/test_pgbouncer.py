"""PgBouncer in transaction mode between everybody and PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from pytest_django import DjangoDbBlocker

from django_dlq import inbox, outbox
from django_dlq.models import InboxMessage, OutboxMessage, wake_up
from django_dlq.models.outbox_reading import Reading, Scope
from django_dlq.models.postgresql_plans import TIMES
from django_dlq.relaying.listener import Listener
from tests.calls import listening
from tests.scenarios.conftest import MakeStage
from tests.scenarios.lanes import LANES, are_shared, shares, watching
from tests.scenarios.private_services import private
from tests.scenarios.traffic import Traffic
from tests.services import PGBOUNCER
from tests.services.pgbouncer import Pgbouncer
from tests.services.postgresql import POSTGRESQL

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(not PGBOUNCER.version(), reason="no PgBouncer: make services"),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def pgbouncer(transactional_db: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Pgbouncer]:
    """Put the default connection, and so the processes of a stage, behind a PgBouncer of its own."""
    with private(Pgbouncer) as server, pytest.MonkeyPatch.context() as patches:
        connection.close()
        behind = {"HOST": server.host, "PORT": server.port, "DISABLE_SERVER_SIDE_CURSORS": True}
        for name, value in behind.items():
            patches.setitem(connection.settings_dict, name, value)
        try:
            yield server
        finally:
            connection.close()


def test_the_whole_path_works_through_pgbouncer_in_transaction_mode(
    pgbouncer: Pgbouncer, kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka, lease=3)
    traffic = Traffic(stage)
    with watching(), traffic.flowing():
        first = stage.manage("dlq_relay")
        stage.until(lambda: shares(first) == [LANES])
        second = stage.manage("dlq_relay")
        stage.until(lambda: are_shared(first, second))
        first.stop()
        stage.until(lambda: shares(second) == [LANES])
        third = stage.manage("dlq_relay")
        stage.until(lambda: are_shared(second, third))
        second.kill()
        stage.until(lambda: shares(third) == [LANES])
    stage.until(stage.outbox_is_empty)
    traffic.check()
    pools = [line.split("|") for line in (pgbouncer.ask("SHOW POOLS") or "").splitlines()]
    assert [pool[-1] for pool in pools if pool[0] == connection.settings_dict["NAME"]] == ["transaction"]


def test_where_no_call_can_be_heard_the_relay_looks_by_itself_and_sends_everything(
    pgbouncer: Pgbouncer, kafka: str, make_stage: MakeStage, settings: Any
) -> None:
    settings.DLQ_RELAY_NOTIFY = True
    stage = make_stage(kafka, lease=3)
    traffic = Traffic(stage)
    relay = stage.manage("dlq_relay", SCENARIO_NOTIFY="1")
    stage.until(lambda: shares(relay) == [LANES])
    for _ in range(20):
        traffic.publish(5)
    stage.until(stage.outbox_is_empty)
    traffic.check()


def test_no_relay_listens_in_a_session_that_the_pooler_lends_to_somebody_else_next(
    pgbouncer: Pgbouncer, settings: Any
) -> None:
    settings.DLQ_RELAY_NOTIFY = True
    listener = Listener("default")

    assert not any(listener.wait(0) for _ in range(3))
    assert asked_all("SELECT count(*) FROM pg_listening_channels()") == {0}


def test_a_call_passes_the_pooler_and_leaves_nothing_behind(pgbouncer: Pgbouncer, settings: Any) -> None:
    settings.DLQ_RELAY_NOTIFY = True
    wake_up._caller.cache_clear()
    with listening(host=POSTGRESQL.host, port=POSTGRESQL.port) as calls:
        with transaction.atomic():
            outbox.publish("orders", "x")
        assert calls.count() == 1
    assert asked_all("SELECT current_setting('lock_timeout')") == {"0"}


def asked_all(question: str) -> set[object]:
    """Return what several sessions of the pooler answer, those that were used before among them."""
    with ExitStack() as stack:
        pooled = [stack.enter_context(closing(connection.copy())) for _ in range(3)]
        for each in pooled:  # a transaction each, and so a session each
            each.set_autocommit(False)
        return {answer(each, question) for each in pooled}


def answer(asked: BaseDatabaseWrapper, question: str) -> object:
    with asked.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]


def test_behind_it_nothing_is_prepared_and_everything_is_published_and_handled(pgbouncer: Pgbouncer) -> None:
    reading = Reading(Scope(), 100, using="default", keep_plans=True)
    for number in range(4 * TIMES):
        with transaction.atomic():
            outbox.publish("orders", b"1")
        message = inbox.message("orders", b"1", message_key=str(number))
        assert inbox.handle_once(message, "shipping", lambda _: None)
        assert len(reading.page(0).rows) == number + 1
    assert OutboxMessage.objects.count() == InboxMessage.objects.count() == 4 * TIMES
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), (SELECT count(*) FROM pg_prepared_statements)")
        process, prepared = cursor.fetchone()
    assert process != connection.connection.info.backend_pid
    assert prepared == 0
