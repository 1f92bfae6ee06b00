"""A release comes out in which the handler fails with every message."""

from collections import Counter
from datetime import timedelta

import pytest

from django_dlq.models import DatabaseNow, DeadLetter, StoppedGroup, in_future
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.shop.models import Box

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]

SECOND = timedelta(seconds=1)

IN_ROW = 50
"""The default of DLQ_STORM_IN_ROW."""


def test_a_bad_release_fails_a_hundred_messages_of_two_thousand_and_the_next_one_handles_them_all_once(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka)
    bad = [
        stage.manage("dlq_consume", SCENARIO_RELEASE="bad", SCENARIO_BROKEN="1", SCENARIO_RETRY="3600")
        for _ in range(2)
    ]
    stage.until(lambda: stage.members() == 2)
    feed = Feed(stage, repeats=0, failures=0)
    feed.send(2000)
    stage.until(lambda: all(actor.has_said("stopped since") for actor in bad))

    failed = DeadLetter.objects.count()
    assert IN_ROW <= failed <= 2 * IN_ROW
    assert StoppedGroup.objects.get().failed == IN_ROW

    # By then everything in both processes has looked: each does so once a second.
    stage.until(lambda: StoppedGroup.objects.filter(stopped_at__lt=in_future(-2 * SECOND)).exists())
    DeadLetter.objects.update(next_attempt_at=DatabaseNow())
    assert stage.members() == 2
    assert not any(actor.has_ended for actor in bad)
    for actor in bad:
        actor.stop()
    assert not DeadLetter.objects.filter(attempts__gt=1).exists()  # their retries wait too
    with stage.running("dlq_consume"):  # of another release, which is none
        stage.until(lambda: stage.is_consumed() and not DeadLetter.objects.open().exists(), seconds=120)
    assert DeadLetter.objects.count() == failed
    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(feed.orders)
