"""A relay that looks every thirty seconds only, and is woken by those who publish."""

import time

import pytest

from django_dlq.models import wake_up
from tests.calls import listeners, terminate
from tests.scenarios.conftest import MakeStage
from tests.scenarios.lanes import LANES, shares
from tests.scenarios.stage import Actor, Stage, order_of

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]

SOON = 10.0
"""Seconds; the machine may be busy. Without a call it would be up to thirty."""
SELDOM = {"SCENARIO_NOTIFY": "1", "SCENARIO_POLL": "30"}


@pytest.fixture(autouse=True)
def calling(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each transaction of the test call, however soon after another."""
    settings.DLQ_RELAY_NOTIFY = True
    monkeypatch.setattr(wake_up, "LEAST_APART", 0.0)
    wake_up._caller.cache_clear()


def start(stage: Stage, *command: str) -> Actor:
    """Start a relay, and wait until it listens."""
    relay = stage.start(*command, **SELDOM)
    stage.until(lambda: shares(relay) == [LANES] and len(listeners()) == 1)
    return relay


def test_a_message_is_sent_at_once_though_the_relay_rests(kafka: str, make_stage: MakeStage) -> None:
    stage = make_stage(kafka, lease=90)
    start(stage, "tests.scenarios.resting", "dlq_relay")
    for number in range(10):
        stage.publish(f"o-{number}")
        stage.until(stage.outbox_is_empty, seconds=SOON)

    assert [order_of(message) for message in stage.messages()] == [f"o-{number}" for number in range(10)]


def test_what_nobody_calls_for_since_somebody_just_has_is_sent_soon_too(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake_up, "LEAST_APART", 0.02)
    stage = make_stage(kafka, lease=90)
    start(stage, "django", "dlq_relay")
    for number in range(50):
        stage.publish(f"o-{number}-a")
        stage.publish(f"o-{number}-b")
        stage.until(stage.outbox_is_empty, seconds=SOON)

    assert len(stage.messages()) == 100


def test_a_relay_whose_ear_is_cut_off_again_and_again_hears_again(kafka: str, make_stage: MakeStage) -> None:
    stage = make_stage(kafka, lease=90)
    relay = start(stage, "tests.scenarios.resting", "dlq_relay")
    for number in range(5):
        before = listeners()
        terminate(*before)
        stage.publish(f"o-{number}")  # while nobody listens
        stage.until(stage.outbox_is_empty, seconds=SOON)
        stage.until(lambda before=before: listeners() not in ([], before))
        stage.publish(f"p-{number}")
        stage.until(stage.outbox_is_empty, seconds=SOON)

    assert len(stage.messages()) == 10
    assert not relay.has_said("unavailable")


def test_a_relay_that_rests_ends_when_it_is_asked_to(kafka: str, make_stage: MakeStage) -> None:
    stage = make_stage(kafka, lease=90)
    relay = start(stage, "tests.scenarios.resting", "dlq_relay")
    stage.publish("o-1")
    stage.until(stage.outbox_is_empty, seconds=SOON)
    began = time.monotonic()
    relay.stop()

    assert time.monotonic() - began < SOON
    assert relay.process.returncode == 0, relay
    assert stage.lease_is_free()
    assert not listeners()
