"""PgBouncer in transaction mode between everybody and PostgreSQL."""

from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from tests.scenarios.conftest import MakeStage
from tests.scenarios.lanes import LANES, are_shared, shares, watching
from tests.scenarios.private_services import private
from tests.scenarios.traffic import Traffic
from tests.services import PGBOUNCER
from tests.services.pgbouncer import Pgbouncer

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
