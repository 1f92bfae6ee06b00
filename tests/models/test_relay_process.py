from datetime import timedelta

import pytest

from django_dlq.models import BrokerOutage, RelayProcess, database_now, in_future

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def test_a_relay_counts_itself_and_the_others_that_run():
    assert RelayProcess.objects.beat("me", MINUTE) == 1
    assert RelayProcess.objects.beat("you", MINUTE) == 2
    assert RelayProcess.objects.beat("me", MINUTE, sent=7, rate=3.5) == 2

    me = RelayProcess.objects.get(owner="me")
    assert (me.sent, me.rate, str(me)) == (7, 3.5, "me")
    assert timedelta(seconds=50) < me.alive_until - database_now("default") <= MINUTE


def test_one_that_fell_silent_is_forgotten_with_its_outages():
    RelayProcess.objects.beat("silent", MINUTE)
    BrokerOutage.objects.begin("silent", "default", "down")
    RelayProcess.objects.update(alive_until=in_future(timedelta(milliseconds=-1)))

    assert RelayProcess.objects.beat("me", MINUTE) == 1
    assert [relay.owner for relay in RelayProcess.objects.all()] == ["me"]
    assert not BrokerOutage.objects.exists()


def test_one_that_was_silent_itself_goes_on():
    RelayProcess.objects.beat("me", MINUTE)
    RelayProcess.objects.update(alive_until=in_future(timedelta(milliseconds=-1)))

    assert RelayProcess.objects.beat("me", MINUTE) == 1
    assert RelayProcess.objects.alive().count() == 1


def test_an_outage_begins_once_and_keeps_its_last_reason():
    RelayProcess.objects.beat("me", MINUTE)
    BrokerOutage.objects.begin("me", "default", "refused")
    first = BrokerOutage.objects.get()
    BrokerOutage.objects.begin("me", "default", "timed out")

    again = BrokerOutage.objects.get()
    assert (again.since, again.reason, str(again)) == (first.since, "timed out", "default (me)")
    BrokerOutage.objects.end("you", "default")
    assert BrokerOutage.objects.exists()
    BrokerOutage.objects.end("me", "default")
    assert not BrokerOutage.objects.exists()
