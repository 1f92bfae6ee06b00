"""What handlers depend on goes down under a long backlog."""

import time
from pathlib import Path

import pytest

from django_dlq.models import Circuit, DeadLetter, Dependency
from tests.scenarios import LOGISTICS
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.services.process import wait_for
from tests.shop.models import Box

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

MESSAGES = 20_000


def test_an_outage_under_a_backlog_costs_a_few_retries_and_ends_within_five_seconds_of_recovery(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outage = tmp_path / "outage"
    monkeypatch.setenv("SCENARIO_OUTAGE", str(outage))
    stage = make_stage(kafka, partitions=6)
    feed = Feed(stage, repeats=0, failures=0)
    feed.send(MESSAGES)
    with stage.running("dlq_consume", "dlq_consume"):
        stage.until(lambda: stage.boxes() > 500)
        outage.touch()
        stage.until(lambda: Dependency.objects.filter(name=LOGISTICS, state=Circuit.OPEN).exists())
        stage.until(lambda: Dependency.objects.get().trials >= 3)  # it has been probed in vain
        before = stage.boxes()
        assert DeadLetter.objects.count() < 5
        assert before < MESSAGES / 2  # the backlog is still in the broker

        outage.unlink()
        recovered = time.monotonic()
        assert wait_for(lambda: stage.boxes() > before + 100, seconds=30)
        assert time.monotonic() - recovered < 5
        stage.until(stage.is_consumed, seconds=120)
        stage.until(lambda: not DeadLetter.objects.open().exists())
    assert sorted(Box.objects.values_list("order", flat=True)) == sorted(feed.orders)
    # Nobody paid more than the one attempt that he made before the circuit opened.
    assert not DeadLetter.objects.filter(attempts__gt=1).exists()
    assert DeadLetter.objects.count() < 5
