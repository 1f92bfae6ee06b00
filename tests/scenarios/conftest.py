import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

pytest.register_assert_rewrite("tests.scenarios.load", "tests.scenarios.stage")

from tests.scenarios.stage import Stage  # noqa: E402  # after the line above, which makes its assertions speak

# Where a scenario makes no sense there is nothing to collect, and so nothing to skip.
collect_ignore = []
if not settings.DATABASES["default"]["ENGINE"].endswith("postgresql"):
    collect_ignore += ["test_kafka_outage.py", "test_postgresql_restart.py", "test_real_input.py"]
if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    collect_ignore += ["test_broken_connection.py"]

MakeStage = Callable[..., Stage]


@pytest.fixture
def kafka() -> str:
    address = os.environ.get("DLQ_TEST_KAFKA")
    if not address:
        pytest.skip("no real Kafka: DLQ_TEST_KAFKA is not set (`make services` starts one)")
    return address


@pytest.fixture
def make_stage(tmp_path: Path) -> Iterator[MakeStage]:
    stages: list[Stage] = []

    def make(kafka: str, **options: float) -> Stage:
        stages.append(Stage(kafka, tmp_path, **options))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()
