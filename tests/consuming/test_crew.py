import threading

import pytest

from django_dlq.consuming.crew import Alone, Threads

pytestmark = pytest.mark.once


def test_alone_settles_at_once_in_the_thread_that_gives():
    seen = []
    crew = Alone(lambda work: seen.append((work, threading.get_ident())))
    assert (crew.has_room, crew.is_busy, crew.take_back(0)) == (True, False, [])
    crew.give(["a"])

    assert seen == [(["a"], threading.get_ident())]
    assert (crew.has_room, crew.is_busy) == (False, True)
    assert crew.close(0) == [(["a"], None)]
    assert (crew.has_room, crew.is_busy) == (True, False)


def test_what_goes_wrong_comes_back_with_the_work():
    error = KeyboardInterrupt()

    def settle(work):
        raise error

    crew = Alone(settle)
    crew.give(["a"])
    assert crew.take_back(0) == [(["a"], error)]


def test_threads_settle_side_by_side_and_are_full_when_all_are_busy():
    together = threading.Barrier(3)  # which three pass only together
    crew = Threads(lambda work: together.wait(30), 3)
    for name in "abc":
        assert crew.has_room
        crew.give([name])
    assert (crew.has_room, crew.is_busy) == (False, True)
    returned = []
    while crew.is_busy:
        returned += crew.take_back(30)
    crew.close(30)

    assert sorted(work[0] for work, _ in returned) == ["a", "b", "c"]
    assert [error for _, error in returned] == [None] * 3


def test_with_nothing_given_there_is_nothing_to_wait_for():
    crew = Threads(lambda work: None, 1)
    assert crew.take_back(30) == []
    assert crew.close(30) == []


def test_a_thread_goes_on_after_an_error():
    def settle(work):
        if work == ["bad"]:
            raise ValueError

    crew = Threads(settle, 1)
    crew.give(["bad"])
    [(_, error)] = crew.take_back(30)
    crew.give(["good"])
    assert isinstance(error, ValueError)
    assert crew.take_back(30) == [(["good"], None)]
    crew.close(30)


def test_closing_waits_for_what_is_running_as_long_as_it_may():
    begun, may_end = threading.Event(), threading.Event()

    def settle(work):
        begun.set()
        assert may_end.wait(30)

    crew = Threads(settle, 2)
    crew.give(["a"])
    assert begun.wait(30)
    assert crew.close(0.01) == []
    may_end.set()
    assert crew.close(30) == [(["a"], None)]
    assert [thread for thread in threading.enumerate() if thread.name.startswith("dlq-handler")] == []
