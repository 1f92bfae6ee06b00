"""A synchronous standby does not answer: whoever waits for it waits for ever, and a call shall not be among them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django import DjangoDbBlocker

from django_dlq import outbox
from django_dlq.models import OutboxMessage, wake_up
from tests.calls import connect, listening
from tests.scenarios.private_services import private_database
from tests.services.postgresql import Postgresql
from tests.services.process import wait_for

SECONDS = 10.0
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def stuck(django_db_blocker: DjangoDbBlocker, settings: Any) -> Iterator[None]:
    """Give a server whose commits wait for a standby that is not there, unless they say that they do not want to."""
    settings.DLQ_RELAY_NOTIFY = True
    wake_up._caller.cache_clear()
    with django_db_blocker.unblock(), private_database(Postgresql, user="postgres") as server:
        server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        server.sql("SELECT pg_reload_conf()")
        assert wait_for(lambda: server.sql("SHOW synchronous_standby_names") == "nobody", seconds=SECONDS)
        yield


def publish() -> None:
    """Publish in a transaction that does not wait."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = local")
        outbox.publish("orders", "x")


@pytest.mark.usefixtures("stuck")
def test_a_call_waits_for_no_standby() -> None:
    with listening() as calls:
        publish()

        assert calls.count(synchronous_commit="local") == 1


@pytest.mark.usefixtures("stuck")
def test_a_call_does_not_wait_long_for_somebody_who_holds_up_all_notifications(caplog: Any) -> None:
    with holding():
        began = time.monotonic()
        publish()

        assert time.monotonic() - began < SECONDS / 2
    assert "lock timeout" in caplog.text
    assert OutboxMessage.objects.count() == 1


@contextmanager
def holding() -> Iterator[None]:
    """Let somebody write something and NOTIFY in one transaction, whose commit holds the lock and waits."""

    def commit() -> None:
        with holder.transaction():
            holder.execute("CREATE TABLE something_else ()")
            holder.execute("NOTIFY something_else")

    with connect() as watcher, connect() as holder:
        thread = threading.Thread(target=commit)
        thread.start()
        try:
            assert wait_for(lambda: watcher.execute(WAITING).fetchone() == (1,), seconds=SECONDS)
            yield
        finally:
            watcher.execute("SELECT pg_cancel_backend(%s)", [holder.info.backend_pid])
            thread.join(SECONDS)
