"""Somebody locks a table for long: makes an index, alters it, or leaves a session open that has."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from django_dlq.models import OutboxMessage, PublishedMessage
from tests.postgresql.waiting import wait_until_blocking_somebody
from tests.scenarios.conftest import MakeStage
from tests.scenarios.lanes import LANES, owners, shares
from tests.scenarios.traffic import Traffic

LEASE = 2.0

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


@contextmanager
def locked(model: type[OutboxMessage | PublishedMessage], mode: str) -> Iterator[None]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {model._meta.db_table} IN {mode} MODE")
        yield


def test_while_an_index_of_the_history_is_made_a_relay_keeps_its_lanes_and_sends_nothing_twice(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka, lease=LEASE)
    traffic = Traffic(stage)
    traffic.publish(100)
    with locked(PublishedMessage, "SHARE"):
        relay = stage.manage("dlq_relay")
        wait_until_blocking_somebody(30)  # with all of them confirmed
        other = stage.manage("dlq_relay")
        held = owners()
        until = time.monotonic() + 2 * LEASE  # which is the scenario: nothing is awaited here
        while time.monotonic() < until:
            assert shares(relay) == [LANES]
            time.sleep(0.1)
        assert owners() == held
    stage.until(stage.outbox_is_empty)
    assert not relay.has_ended
    assert not other.has_ended
    assert traffic.check().repeats == 0


def test_while_the_outbox_is_locked_a_relay_says_so_and_can_be_stopped_and_goes_on_afterwards(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka, lease=6)
    traffic = Traffic(stage)
    relays = [stage.manage("dlq_relay"), stage.manage("dlq_relay")]
    stage.until(lambda: sum(shares(*relays)) == LANES)
    traffic.publish(100)
    stage.until(stage.outbox_is_empty)
    with locked(OutboxMessage, "ACCESS EXCLUSIVE"):
        for relay in relays:
            stage.until(lambda relay=relay: relay.has_said("lock timeout"))
        assert sum(shares(*relays)) == LANES
        check = stage.manage("dlq_stats", "--check", "--json")
        stage.until(lambda: check.has_ended)
        assert check.process.returncode == 1
        assert [problem["what"] for problem in json.loads(check.log.read_text())] == ["outbox_unreadable"]
        relays[0].stop()
        assert relays[0].process.returncode == 0, relays[0]
    traffic.publish(100)
    stage.until(stage.outbox_is_empty)
    traffic.check()
