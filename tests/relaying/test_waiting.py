"""What a relay does while the database lets its completions wait."""

from concurrent.futures import Future
from datetime import timedelta

import pytest
from django.db import OperationalError

from django_dlq import signals
from django_dlq.exceptions import LeaseLost
from django_dlq.relaying import waiting
from django_dlq.relaying.completions import Completions
from django_dlq.relaying.waiting import wait_with_lanes

pytestmark = pytest.mark.once


class Share:
    """A relay's lanes, which are looked after without any pause; after some beats something else happens."""

    owner = "me"
    patience = 0.0

    def __init__(self, *, beats, then):
        self.beats = beats
        self.then = then

    def insist(self, sender):
        self.beats -= 1
        if not self.beats:
            self.then()


def fail_with(error):
    def fail():
        raise error

    return fail


@pytest.fixture
def told():
    seconds = []

    def receiver(seconds_waited=seconds, **values):
        seconds_waited.append((values["owner"], values["seconds"]))

    signals.completion_waits.connect(receiver)
    yield seconds
    signals.completion_waits.disconnect(receiver)


def test_the_lanes_are_kept_until_all_have_ended(told):
    first, second = Future(), Future()
    first.set_result(None)
    share = Share(beats=3, then=lambda: second.set_exception(ValueError()))
    wait_with_lanes([first, second], share, Share)

    assert (share.beats, told) == (0, [])


def test_nothing_is_kept_where_nothing_is_waited_for():
    future = Future()
    future.set_result(None)
    share = Share(beats=1, then=fail_with(AssertionError()))
    wait_with_lanes([future], share, Share)

    assert share.beats == 1


def test_lanes_that_are_lost_are_not_waited_with():
    with pytest.raises(LeaseLost):
        wait_with_lanes([Future()], Share(beats=2, then=fail_with(LeaseLost())), Share)


def test_that_it_takes_long_is_told_but_seldom(told, monkeypatch):
    monkeypatch.setattr(waiting, "LONG", 0.01)
    future = Future()
    share = Share(beats=10**9, then=lambda: None)

    def end_when_told(**_):
        future.set_result(None)

    signals.completion_waits.connect(end_when_told)
    wait_with_lanes([future], share, Share)
    signals.completion_waits.disconnect(end_when_told)
    ((owner, seconds),) = told
    assert owner == "me"
    assert seconds > 0.01


def test_after_ten_leases_the_lanes_are_kept_no_more(monkeypatch, settings):
    settings.DLQ_RELAY_LEASE = timedelta(milliseconds=1)
    future = Future()
    waited_alone = []

    def wait(futures, timeout=None):
        if timeout is None:
            waited_alone.append(share.beats)
            future.set_result(None)
        return really_wait(futures, timeout)

    really_wait = waiting.wait
    monkeypatch.setattr(waiting, "wait", wait)
    share = Share(beats=10**9, then=lambda: None)
    wait_with_lanes([future], share, Share)

    assert len(waited_alone) == 1


@pytest.mark.parametrize("error", [LeaseLost(), OperationalError()], ids=repr)
def test_to_forget_waits_for_the_end_even_if_the_lanes_cannot_be_kept(error):
    class Stage:
        def submit(self, *_):
            return future

        def let_go(self):
            assert future.done()

    class Loser(Share):
        def fence(self, lanes):
            return None

        def insist(self, sender):
            future.set_result(None)
            raise error

    future = Future()
    completions = Completions(Loser(beats=0, then=None), Stage(), Share)
    completions.begin([], [])
    completions.forget()
    assert len(completions) == 0
