"""A consumer has much to catch up on."""

import os
import re
from pathlib import Path

import pytest

from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]

MESSAGES = int(os.environ.get("DLQ_TEST_BACKLOG", "60000"))
"""A million takes minutes: DLQ_TEST_BACKLOG=1000000 make test ARGS="-k backlog_is_drained --database postgresql"."""

AT_ONCE = 50_000
SECONDS = 60 + MESSAGES / 1000
MEGABYTE = 1_000_000


@pytest.mark.timeout(2 * SECONDS + 60)
def test_a_backlog_is_drained_and_the_memory_of_the_consumer_stays_what_it_was_after_a_quarter(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_BATCH_SIZE", "500")
    stage = make_stage(kafka)
    feed = Feed(stage, failures=0, repeats=0)
    for start in range(0, MESSAGES, AT_ONCE):  # more at once is more than the producer takes
        feed.send(min(AT_ONCE, MESSAGES - start))
    consumer = stage.manage("dlq_consume")
    stage.until(lambda: stage.boxes() >= MESSAGES / 4, seconds=SECONDS)
    after_a_quarter = memory(consumer.process.pid)
    stage.until(lambda: stage.boxes() >= MESSAGES, seconds=SECONDS)

    # What is left of the backlog would be three quarters of the messages, of half a kilobyte and more.
    assert memory(consumer.process.pid) - after_a_quarter < 15 * MEGABYTE
    stage.until(stage.is_consumed)


def memory(pid: int) -> int:
    """Return the bytes of a process that are in memory."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024
