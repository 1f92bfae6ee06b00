from datetime import timedelta

import pytest

from django_dlq import obstacles
from django_dlq.models import BrokerOutage, Pause, RelayProcess, in_future

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def run_relay(owner: str, *, alive_for: timedelta = MINUTE) -> None:
    RelayProcess.objects.create(owner=owner, alive_until=in_future(alive_for))


def test_a_broker_is_unreachable_since_the_first_relay_noticed() -> None:
    run_relay("one")
    run_relay("two")
    BrokerOutage.objects.create(relay_id="one", broker="default", since=in_future(-MINUTE), reason="later")
    BrokerOutage.objects.create(relay_id="two", broker="default", since=in_future(-HOUR), reason="timed out")
    BrokerOutage.objects.create(relay_id="one", broker="second", reason="no route")
    first, second = obstacles.outages()

    assert (first.broker, first.reason, first.relays) == ("default", "timed out", ("two", "one"))
    assert (second.broker, second.relays) == ("second", ("one",))


def test_what_a_relay_said_that_is_gone_counts_no_more() -> None:
    run_relay("gone", alive_for=-MINUTE)
    BrokerOutage.objects.begin("gone", "default", "timed out")

    assert obstacles.outages() == ()


def test_a_pause_is_named_with_who_and_why() -> None:
    Pause.objects.create(scope="topic", topic="orders", reason="bad deploy", actor_name="ada", digest="1")
    (found,) = obstacles.pauses()

    assert (found.scope, found.topic, found.key, found.reason, found.actor) == (
        "topic", "orders", None, "bad deploy", "ada",
    )  # fmt: skip
