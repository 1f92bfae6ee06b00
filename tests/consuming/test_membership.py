import math
import threading

import pytest

from django_dlq.consuming.membership import Membership
from django_dlq.exceptions import BrokerUnavailable
from tests.services.process import wait_for

pytestmark = pytest.mark.once


class Silent:
    """A subscription that misses its member after a hundredth of a second."""

    longest_silence = 0.01

    def __init__(self):
        self.users = 0
        self.kept = threading.Semaphore(0)
        self.is_closed = False
        self.trouble = None
        self.inside = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def _use(self):
        assert self.users == 0, "two threads at once"
        self.users += 1
        self.inside.set()
        assert self.go_on.wait(30)
        self.users -= 1

    def poll(self, limit, timeout):
        self._use()
        return [limit, timeout]

    def commit(self, records):
        self._use()

    def keep_alive(self):
        assert not self.is_closed
        self._use()
        self.kept.release()
        if self.trouble:
            raise self.trouble

    def revoked(self):
        return {("orders", 0)}

    def close(self):
        self.is_closed = True


def test_it_is_kept_alive_while_nobody_polls_whatever_trouble_that_meets():
    subscription = Silent()
    subscription.trouble = BrokerUnavailable("down")
    member = Membership(subscription)
    for _ in range(3):
        assert subscription.kept.acquire(timeout=30)
    member.close()

    assert subscription.is_closed
    assert [thread for thread in threading.enumerate() if thread.name == "dlq-keep-alive"] == []


def test_while_somebody_polls_nobody_else_uses_it_and_it_needs_nothing_more():
    subscription = Silent()
    subscription.go_on.clear()
    member, got = Membership(subscription), []
    subscription.longest_silence = math.inf
    polling = threading.Thread(target=lambda: got.append(member.poll(7, 0.5)))
    polling.start()
    assert subscription.inside.wait(30)
    subscription.go_on.set()
    polling.join(30)
    member.commit([])
    member.close()

    assert got == [([7, 0.5], {("orders", 0)})]


def test_of_what_is_revoked_it_is_known_whether_that_was_before_or_after_what_a_poll_returned():
    subscription = Silent()
    revoked = set()
    subscription.revoked = revoked.copy
    subscription.longest_silence = 0.05
    member = Membership(subscription)
    _, before = member.poll(7, 0.5)
    # A process that was not scheduled: before it goes on with what it was given, its keeper meets a rebalance.
    subscription.keep_alive = lambda: revoked.add(("orders", 1))
    assert wait_for(lambda: revoked, seconds=30)

    assert before == set()
    assert member.revoked() == {("orders", 1)}
    member.close()


def test_a_broker_that_misses_nobody_needs_no_thread():
    subscription = Silent()
    subscription.longest_silence = math.inf
    member = Membership(subscription)

    assert [thread for thread in threading.enumerate() if thread.name == "dlq-keep-alive"] == []
    assert member.revoked() == {("orders", 0)}
    member.close()
