import pytest

from django_dlq.consuming import rates
from django_dlq.consuming.delivery import Delivery
from django_dlq.consuming.hand import Hand
from django_dlq.consuming.pace import Pace
from django_dlq.consuming.rates import UNLIMITED, Rates
from django_dlq.message import ReceivedMessage, Record
from django_dlq.registry import Handler
from tests.consuming.clock import Clock

pytestmark = pytest.mark.once


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(rates, "time", clock)
    return clock


def of(function=print, **options):
    return Handler(function=function, topics=("orders",), group="g", **options)


def work(handler, count=1):
    record = Record("orders", partition=0, offset=0)
    return [Delivery(record, ReceivedMessage.of(record, "g"), handler) for _ in range(count)]


def test_no_more_calls_of_a_handler_run_at_once_than_it_bears():
    handler = of(concurrency=2)
    of_one = Pace(Rates([handler]))
    assert of_one.allowance(handler) == 1
    of_one.started(work(handler))
    assert of_one.allowance(handler) == 1
    of_one.started(work(handler))
    assert of_one.allowance(handler) == 0
    of_one.ended(work(handler))
    assert of_one.allowance(handler) == 1


def test_a_batch_handler_is_given_its_batch():
    assert Pace(UNLIMITED).allowance(of(batch_size=500)) == 500


def test_a_rate_lets_so_many_messages_begin(clock):
    handler, other = of(concurrency=9, messages_per_second=10), of(len)
    both = Pace(Rates([handler, other]))
    assert both.wait() == 0
    assert both.allowance(handler) == 1
    both.started(work(handler))
    assert (both.allowance(handler), both.allowance(other)) == (0, 1)
    assert both.wait() == pytest.approx(0.1)
    clock.now = 0.1
    assert both.allowance(handler) == 1


def test_a_batch_takes_a_token_for_each_message(clock):
    handler = of(batch_size=500, concurrency=2, messages_per_second=10)
    limited = Pace(Rates([handler]))
    limited.allowance(handler)
    clock.now = 0.8
    assert limited.allowance(handler) == 9
    limited.started(work(handler, 9))
    assert limited.allowance(handler) == 0
    assert limited.wait() == pytest.approx(0.1)


class TestHeld:
    """Whose partitions are to bring no more."""

    def hand_of(self, *counts):
        hand = Hand()
        for handler, count in counts:
            for delivery in work(handler, count):
                hand.take(delivery)
        return hand

    def held(self, pace, hand, *, is_full=True):
        return len(pace.held(hand, is_full=lambda: is_full))

    def test_with_more_than_two_seconds_of_its_messages_in_hand_until_there_is_one(self):
        handler, other = of(messages_per_second=10), of(len)
        limited = Pace(Rates([handler, other]))
        assert self.held(limited, self.hand_of((handler, 20), (other, 100))) == 0
        assert self.held(limited, self.hand_of((handler, 21), (other, 100))) == 21
        assert self.held(limited, self.hand_of((handler, 11), (other, 100)), is_full=False) == 11
        assert self.held(limited, self.hand_of((handler, 10), (other, 100))) == 0
        assert self.held(limited, self.hand_of((handler, 11), (other, 100))) == 0

    def test_a_slow_one_may_have_one_in_hand(self):
        handler = of(messages_per_second=0.001)
        limited = Pace(Rates([handler]))
        assert self.held(limited, self.hand_of((handler, 1))) == 0
        assert self.held(limited, self.hand_of((handler, 2))) == 2

    def test_while_there_is_room_for_others_nobodys_are(self):
        handler = of(messages_per_second=1)
        assert self.held(Pace(Rates([handler])), self.hand_of((handler, 50)), is_full=False) == 0
