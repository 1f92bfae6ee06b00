"""The way to the database drops everything: no error comes, no answer, and no acknowledgement."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from django_dlq import health
from django_dlq.models import OutboxMessage, in_future
from tests.scenarios.conftest import MakeStage
from tests.scenarios.lanes import LANES, are_shared, shares
from tests.scenarios.silent_proxy import SilentProxy
from tests.scenarios.stage import Actor
from tests.scenarios.traffic import Traffic

ENDLESS = {"connect_timeout": 600, "keepalives": 0, "tcp_user_timeout": 0}
"""Options with which nobody ever notices."""

SHORT = {"connect_timeout": 2, "keepalives_idle": 1, "keepalives_interval": 1, "tcp_user_timeout": 2000}
"""Options with which that takes some two seconds."""

GRACE = 1.0

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def proxy() -> Iterator[SilentProxy]:
    settings = connection.settings_dict
    with SilentProxy(settings["HOST"], settings["PORT"]).running() as proxy:
        yield proxy


def through(proxy: SilentProxy, options: dict[str, int]) -> str:
    """Return the database of this test as a scenario's process is told of it, behind the proxy."""
    settings = connection.settings_dict
    place: dict[str, Any] = {"HOST": "127.0.0.1", "PORT": proxy.port, "OPTIONS": options}
    return json.dumps({"NAME": settings["NAME"], "USER": settings["USER"], **place})


def ends_within(actor: Actor, seconds: float) -> bool:
    began = time.monotonic()
    actor.stop()
    return time.monotonic() - began < seconds


def test_a_relay_whose_database_goes_silent_ends_when_it_is_told_to_and_another_takes_its_lanes(
    kafka: str, make_stage: MakeStage, proxy: SilentProxy
) -> None:
    stage = make_stage(kafka, lease=3)
    hanging = stage.manage("dlq_relay", SCENARIO_DATABASE=through(proxy, ENDLESS))
    other = stage.manage("dlq_relay")
    stage.until(lambda: are_shared(hanging, other))
    traffic = Traffic(stage)
    with traffic.flowing():
        stage.until(lambda: traffic.count > 100)
        proxy.fall_silent()
        stage.until(lambda: shares(other) == [LANES])
    stage.until(stage.outbox_is_empty)
    assert not hanging.has_ended

    assert ends_within(hanging, stage.lease + 5)
    assert hanging.process.returncode == 1, hanging
    assert hanging.has_said("has not ended within 3.0 seconds")
    traffic.check()


def test_a_relay_whose_database_goes_silent_says_so_and_goes_on_with_new_connections(
    kafka: str, make_stage: MakeStage, proxy: SilentProxy
) -> None:
    stage = make_stage(kafka, lease=3)
    relay = stage.manage("dlq_relay", SCENARIO_DATABASE=through(proxy, SHORT))
    stage.until(lambda: shares(relay) == [LANES])
    traffic = Traffic(stage)
    traffic.publish(100)
    stage.until(stage.outbox_is_empty)
    assert health.problems() == []

    proxy.fall_silent()
    stage.until(lambda: relay.has_said("the database is unavailable"))
    traffic.publish(100)
    OutboxMessage.objects.update(created_at=in_future(-timedelta(seconds=health.UNSENT)))
    stage.until(lambda: [problem.what for problem in health.problems()] == ["nobody_sends"])
    proxy.speak_again()
    stage.until(stage.outbox_is_empty)
    assert health.problems() == []
    assert ends_within(relay, stage.lease)
    assert relay.process.returncode == 0, relay
    traffic.check()


def test_every_other_process_whose_database_goes_silent_ends_when_it_is_told_to(
    kafka: str, make_stage: MakeStage, proxy: SilentProxy
) -> None:
    stage = make_stage(kafka)
    place = {"SCENARIO_DATABASE": through(proxy, ENDLESS), "SCENARIO_GRACE": str(GRACE)}
    commands = ["dlq_consume"], ["dlq_retry"], ["dlq_checkback"], ["dlq_prune", "--interval", "0.1"]
    actors = []
    for command in commands:
        before = proxy.connections
        actors.append(stage.manage(*command, **place))
        stage.until(lambda before=before: proxy.connections > before)
    proxy.fall_silent()
    # Each of them asks its database once a second at least; nobody can see that it waits.
    time.sleep(1.5)
    assert not any(actor.has_ended for actor in actors)
    assert all(ends_within(actor, GRACE + 5) for actor in actors)
    assert {actor.process.returncode for actor in actors} == {1}, list(map(str, actors))
