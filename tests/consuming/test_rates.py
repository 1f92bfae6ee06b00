import pytest

from django_dlq.consuming import rates
from django_dlq.consuming.rates import SHORTEST_WAIT, TURN, UNLIMITED, Rates
from django_dlq.registry import Handler
from tests.consuming.clock import Clock

pytestmark = pytest.mark.once


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(rates, "time", clock)
    return clock


@pytest.fixture
def handler():
    return Handler(function=print, topics=("orders",), group="g", messages_per_second=10)


def test_without_a_rate_there_is_no_limit_and_nothing_to_wait_for(handler):
    UNLIMITED.want(handler, "fresh")
    UNLIMITED.take(handler, "fresh")
    assert UNLIMITED.there(handler, "fresh") > 1_000_000
    assert UNLIMITED.wait("fresh") == 0


def test_what_one_side_takes_the_other_does_not_have(clock, handler):
    both = Rates([handler])
    assert both.there(handler, "fresh") == both.there(handler, "retries") == 1
    both.take(handler, "fresh")
    assert both.there(handler, "retries") == 0
    clock.now = 1.0
    assert both.there(handler, "retries") == 10


def test_whoever_wants_nothing_waits_for_nothing(clock, handler):
    both = Rates([handler])
    both.there(handler, "fresh")
    both.take(handler, "fresh")
    both.want(handler, "retries")
    assert (both.wait("fresh"), both.wait("retries")) == (0, pytest.approx(0.1))
    both.take(handler, "retries")
    assert both.wait("retries") == 0


def test_while_both_sides_want_more_than_there_is_they_have_their_turns(clock, handler):
    both, had = Rates([handler]), []
    for _ in range(1000):
        for side in ("fresh", "fresh", "retries"):  # one of them asks more often
            if both.there(handler, side):
                both.take(handler, side)
                had.append(side)
            else:
                both.want(handler, side)
        clock.now += 0.01
    assert len(had) == pytest.approx(100, abs=2)
    assert had.count("retries") == pytest.approx(50, abs=2)


def test_a_side_whose_turn_it_is_not_looks_again_soon(clock, handler):
    both = Rates([handler])
    both.there(handler, "fresh")
    both.take(handler, "fresh")
    both.want(handler, "fresh")
    both.want(handler, "retries")
    clock.now = 0.1
    assert (both.there(handler, "fresh"), both.wait("fresh")) == (0, SHORTEST_WAIT)
    assert both.there(handler, "retries") == 1


def test_a_turn_that_nobody_takes_is_over_after_a_second(clock, handler):
    both = Rates([handler])
    both.there(handler, "fresh")
    both.take(handler, "fresh")
    both.want(handler, "retries")
    clock.now = TURN - 0.1
    assert both.there(handler, "fresh") == 0
    clock.now = TURN + 0.1
    assert both.there(handler, "fresh") == 10


def test_what_was_taken_beyond_the_rate_is_paid_before_there_is_more(clock, handler):
    both = Rates([handler])
    both.there(handler, "fresh")
    for _ in range(4):
        both.take(handler, "fresh")
    clock.now = 0.3
    assert both.there(handler, "retries") == 0
    clock.now = 0.4
    assert both.there(handler, "retries") == 1
