from datetime import timedelta

import pytest

from django_dlq.models import RelayLane, database_now, in_future

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def run_out():
    RelayLane.objects.update(leased_until=in_future(timedelta(milliseconds=-1)))


def test_the_first_who_comes_has_the_lane():
    epoch = RelayLane.objects.take("me", MINUTE)

    lane = RelayLane.objects.get()
    assert (lane.lane, lane.owner, lane.epoch, epoch) == (0, "me", 1, 1)
    assert timedelta(seconds=50) < lane.leased_until - database_now("default") <= MINUTE
    assert str(lane) == "0: me (epoch 1)"


def test_a_lane_that_is_held_cannot_be_taken_not_even_by_its_holder():
    RelayLane.objects.take("me", MINUTE)

    assert RelayLane.objects.take("you", MINUTE) is None
    assert RelayLane.objects.take("me", MINUTE) is None
    assert RelayLane.objects.get().epoch == 1


def test_a_lease_that_has_run_out_is_taken_over_with_the_next_epoch():
    mine = RelayLane.objects.take("me", MINUTE)
    run_out()

    assert RelayLane.objects.take("you", MINUTE) == mine + 1
    assert not RelayLane.objects.keep("me", mine, MINUTE)


def test_a_lease_is_prolonged_by_its_holder_only():
    epoch = RelayLane.objects.take("me", MINUTE)

    assert not RelayLane.objects.keep("you", epoch, timedelta(hours=1))
    assert not RelayLane.objects.keep("me", epoch + 1, timedelta(hours=1))
    assert RelayLane.objects.get().leased_until - database_now("default") <= MINUTE
    assert RelayLane.objects.keep("me", epoch, timedelta(hours=1))
    assert RelayLane.objects.get().leased_until - database_now("default") > MINUTE


def test_a_lease_that_has_run_out_is_not_prolonged_even_if_nobody_took_it():
    epoch = RelayLane.objects.take("me", MINUTE)
    run_out()

    assert not RelayLane.objects.keep("me", epoch, MINUTE)


def test_a_lane_that_is_given_back_is_free_at_once():
    mine = RelayLane.objects.take("me", MINUTE)
    RelayLane.objects.give_back("me", mine)

    assert not RelayLane.objects.keep("me", mine, MINUTE)
    assert RelayLane.objects.take("you", MINUTE) == mine + 1


def test_what_another_holds_cannot_be_given_back():
    mine = RelayLane.objects.take("me", MINUTE)
    run_out()
    yours = RelayLane.objects.take("you", MINUTE)
    RelayLane.objects.give_back("me", mine)
    RelayLane.objects.give_back("you", mine)

    assert RelayLane.objects.keep("you", yours, MINUTE)
