import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

pytest.register_assert_rewrite("tests.scenarios.load", "tests.scenarios.stage", "tests.scenarios.traffic")

# After the line above, which makes its assertions speak.
from tests.scenarios.stage import SECONDS, Stage, nobody_is_at_work  # noqa: E402
from tests.services.process import wait_for  # noqa: E402

# Where a scenario makes no sense there is nothing to collect, and so nothing to skip.
ON_POSTGRESQL = [
    "test_backlog.py",
    "test_commit_order.py",
    "test_consumers_killed.py",
    "test_database_outage.py",
    "test_debezium.py",
    "test_dependency_outage.py",
    "test_four_relays.py",
    "test_half_messages.py",
    "test_handlers_that_do_not_end.py",
    "test_kafka_outage.py",
    "test_kip848.py",
    "test_locked_tables.py",
    "test_messages_that_kill.py",
    "test_moving_lanes.py",
    "test_offsets_reset.py",
    "test_order_through_failure.py",
    "test_pgbouncer.py",
    "test_postgresql_restart.py",
    "test_real_input.py",
    "test_rebalance.py",
    "test_retries_beside.py",
    "test_retries_that_kill.py",
    "test_silent_database.py",
    "test_slow_handler.py",
    "test_storm.py",
    "test_stuck_standby.py",
    "test_terminated_connections.py",
    "test_wake_up.py",
    "test_wrong_clock.py",
    "test_zombie_relay.py",
]
ON_MARIADB = ["test_mariadb_restart.py"]
# SQLite has one writer, which waits for the other, and no server to run the demo on; test_demo.py runs it without one.
ON_SERVERS = ["test_broken_connection.py", "test_demo_on_real_services.py", "test_separate_capacity.py"]
collect_ignore = {
    "postgresql": ON_MARIADB,
    "mysql": ON_POSTGRESQL,
    "sqlite3": [*ON_POSTGRESQL, *ON_MARIADB, *ON_SERVERS],
}[settings.DATABASES["default"]["ENGINE"].rpartition(".")[2]]

MakeStage = Callable[..., Stage]


@pytest.fixture
def kafka() -> str:
    address = os.environ.get("DLQ_TEST_KAFKA")
    if not address:
        pytest.skip("no real Kafka: DLQ_TEST_KAFKA is not set (`make services` starts one)")
    return address


@pytest.fixture
def make_stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeStage]:
    stages: list[Stage] = []

    def make(kafka: str, **options: float) -> Stage:
        stages.append(Stage(kafka, tmp_path, **options))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()
    if request.node.get_closest_marker("django_db"):  # and not on a database of its own, which is gone
        # What a process that was killed had just asked for is still carried out, and would meet the next test.
        assert wait_for(nobody_is_at_work, seconds=SECONDS)
