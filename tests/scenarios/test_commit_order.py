"""Transactions that take their ids early and commit late, when the relay has long passed them."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from threading import Event

import pytest
from django.db import connection, transaction

from django_dlq import outbox
from django_dlq.models import PublishedMessage, database_now
from tests.scenarios.conftest import MakeStage
from tests.scenarios.stage import Stage
from tests.scenarios.traffic import Traffic, check_repeats

WITHIN = 5.0
AT_ONCE = 5

Late = tuple[str, int, datetime]
"""The message id of a row, its pk, and when it was committed, by the database's clock."""


@pytest.mark.kafka
@pytest.mark.django_db(transaction=True)
def test_a_message_that_commits_late_under_a_low_id_is_sent_within_seconds(kafka: str, make_stage: MakeStage) -> None:
    stage = make_stage(kafka)
    traffic = Traffic(stage)
    late: list[Late] = []
    with stage.running("dlq_relay"), ThreadPoolExecutor(AT_ONCE + 1) as pool:
        stage.until(lambda: not stage.lease_is_free())
        with traffic.flowing():
            waiting = begin(stage, pool, 1, until=lambda: len(late) == 4 * AT_ONCE)
            for _ in range(4):
                passed = traffic.count + 200
                late += results(begin(stage, pool, AT_ONCE, until=passing(passed)))
            late += results(waiting)  # it was open through all of this
        stage.until(stage.outbox_is_empty)

    sent = dict(PublishedMessage.objects.values_list("message_id", "published_at"))
    took = [(sent[message_id] - committed).total_seconds() for message_id, _, committed in late]
    assert max(took) < WITHIN, sorted(took)
    arrivals = stage.messages()
    assert set(check_repeats(arrivals)) == {message_id for message_id, _, _ in late} | set(traffic.bodies)
    assert len(arrivals) == len(late) + traffic.count


def passing(count: int) -> Callable[[], bool]:
    """Return a condition: so many messages were sent."""
    return lambda: PublishedMessage.objects.count() >= count


def begin(stage: Stage, pool: ThreadPoolExecutor, number: int, *, until: Callable[[], bool]) -> list[Future[Late]]:
    """Begin transactions that have their ids when this returns, and commit when a condition holds."""
    started = [Event() for _ in range(number)]
    futures = [pool.submit(publish_slowly, stage, event, until) for event in started]
    for event in started:
        assert event.wait(20)
    return futures


def publish_slowly(stage: Stage, has_id: Event, until: Callable[[], bool]) -> Late:
    """Publish a message, and commit it when a condition holds."""
    try:
        with transaction.atomic():
            row = outbox.publish(stage.topic, {"order": "late"}, key=f"late-{id(has_id)}")
            has_id.set()
            stage.until(until)
        return row.message_id, row.pk, database_now("default")
    finally:
        connection.close()


def results(futures: list[Future[Late]]) -> list[Late]:
    """Wait for transactions to be committed."""
    return [future.result() for future in futures]
