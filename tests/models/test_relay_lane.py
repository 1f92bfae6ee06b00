from datetime import timedelta

import pytest
from django.db import transaction

from django_dlq.exceptions import LeaseLost
from django_dlq.message import LANES
from django_dlq.models import RelayLane, database_now, in_future

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def take(owner, *lanes):
    assert RelayLane.objects.free()
    return RelayLane.objects.take(owner, lanes, MINUTE)


def run_out():
    RelayLane.objects.update(leased_until=in_future(timedelta(milliseconds=-1)))


def fence(owner, held):
    with transaction.atomic():
        RelayLane.objects.fence(owner, held)


def test_there_are_lanes_as_soon_as_somebody_looks_and_all_are_free():
    assert RelayLane.objects.free() == list(range(LANES))
    assert RelayLane.objects.free() == list(range(LANES))
    assert RelayLane.objects.count() == LANES


def test_the_first_who_comes_has_the_lane():
    assert take("me", 3, 7) == {3: 1, 7: 1}

    lane = RelayLane.objects.get(lane=3)
    assert (lane.owner, lane.epoch, str(lane)) == ("me", 1, "3: me (epoch 1)")
    assert timedelta(seconds=50) < lane.leased_until - database_now("default") <= MINUTE
    assert RelayLane.objects.free() == [lane for lane in range(LANES) if lane not in {3, 7}]


def test_of_what_is_wanted_only_the_free_is_taken():
    take("me", 3, 7)

    assert take("you", 7, 8) == {8: 1}
    assert take("me", 3) == {}
    assert RelayLane.objects.held("me") == {3: 1, 7: 1}


def test_a_lease_that_has_run_out_is_taken_over_with_the_next_epoch():
    take("me", 3)
    run_out()

    assert take("you", 3) == {3: 2}
    assert RelayLane.objects.held("me") == {}


def test_leases_are_prolonged_by_their_holder_only():
    take("me", 3)
    RelayLane.objects.keep("you", timedelta(hours=1))
    assert RelayLane.objects.get(lane=3).leased_until - database_now("default") <= MINUTE
    RelayLane.objects.keep("me", timedelta(hours=1))

    assert RelayLane.objects.get(lane=3).leased_until - database_now("default") > MINUTE
    assert RelayLane.objects.get(lane=4).leased_until is None


def test_a_lease_that_has_run_out_is_prolonged_if_nobody_took_it():
    take("me", 3)
    run_out()
    RelayLane.objects.keep("me", MINUTE)

    assert take("you", 3, 4) == {4: 1}


def test_a_lane_that_is_given_back_is_free_at_once():
    take("me", 3, 4)
    RelayLane.objects.give_back("me", [3])

    assert take("you", 3, 4) == {3: 2}


def test_what_another_holds_cannot_be_given_back():
    take("me", 3)
    RelayLane.objects.give_back("you", [3])

    assert RelayLane.objects.held("me") == {3: 1}


def test_a_fence_passes_whoever_holds_all_the_lanes_at_these_epochs():
    take("me", 3, 4)
    RelayLane.objects.give_back("me", [4])
    take("me", 4)

    fence("me", {3: 1, 4: 2})
    fence("me", {4: 2})


@pytest.mark.parametrize(
    ("owner", "held"), [("you", {3: 1}), ("me", {3: 2}), ("me", {3: 0}), ("me", {3: 1, 5: 1}), ("me", {3: 1, 4: 1})]
)
def test_a_fence_stops_everybody_else(owner, held):
    take("me", 3)
    take("you", 4)

    with pytest.raises(LeaseLost, match="passed to another relay"):
        fence(owner, held)
