"""PostgreSQL goes away and comes back, under load."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import DjangoDbBlocker

from tests.scenarios.conftest import MakeStage
from tests.scenarios.load import assert_all_is_well, load
from tests.scenarios.private_services import private
from tests.services.postgresql import Postgresql


@pytest.fixture
def postgresql(django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgresql]:
    """Put this test, and the processes that it starts, on a server that it may restart."""
    with private(Postgresql) as server, django_db_blocker.unblock():
        connection.close()
        for name, value in {"NAME": "dlq", "USER": "postgres", "HOST": server.host, "PORT": server.port}.items():
            monkeypatch.setitem(connection.settings_dict, name, value)
        call_command("migrate", run_syncdb=True, verbosity=0)
        yield server
        connection.close()


@pytest.mark.kafka
def test_relay_and_consumer_outlive_restarts_of_postgresql_and_lose_nothing(
    postgresql: Postgresql, kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka)
    with stage.running("dlq_relay", "dlq_consume"):
        with load(stage):
            for end in (postgresql.stop, postgresql.kill, postgresql.stop):
                seen = stage.boxes()
                stage.until(lambda seen=seen: stage.boxes() > seen + 100)
                end()
                postgresql.start()
                connection.close()
            seen = stage.boxes()
            stage.until(lambda: stage.boxes() > seen + 100)
        stage.until(lambda: stage.outbox_is_empty() and stage.is_consumed())
    assert_all_is_well(stage)
