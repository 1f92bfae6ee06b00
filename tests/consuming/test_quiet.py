import threading

import pytest

from django_dlq.consuming.quiet import Quiet
from tests.consuming.shipping import SECONDS

pytestmark = pytest.mark.once


class Somebody(threading.Thread):
    """Somebody who comes in by `way`, and stays until he is told to leave."""

    def __init__(self, way):
        super().__init__(daemon=True)
        self.way, self.is_in, self.may_leave = way, threading.Event(), threading.Event()
        self.start()

    def run(self):
        with self.way():
            self.is_in.set()
            self.may_leave.wait(SECONDS)

    def leave(self):
        self.may_leave.set()
        self.join(SECONDS)


def waits(quiet, number=1):
    """Wait until so many want to be alone."""
    with quiet._changed:
        pass
    while quiet._wanted < number:
        threading.Event().wait(0.001)
    return True


def test_those_beside_each_other_wait_for_nobody():
    quiet = Quiet()
    one, two = Somebody(quiet.beside), Somebody(quiet.beside)
    assert one.is_in.wait(SECONDS)
    assert two.is_in.wait(SECONDS)
    one.leave()
    two.leave()


def test_who_wants_to_be_alone_waits_for_those_who_are_in_and_lets_nobody_else_in_before():
    quiet = Quiet()
    one = Somebody(quiet.beside)
    assert one.is_in.wait(SECONDS)
    alone = Somebody(quiet.alone)
    assert waits(quiet)
    late = Somebody(quiet.beside)
    assert not alone.is_in.is_set()
    one.leave()
    assert alone.is_in.wait(SECONDS)
    assert not late.is_in.is_set()
    alone.leave()
    assert late.is_in.wait(SECONDS)
    late.leave()


def test_two_who_want_to_be_alone_are_so_one_after_the_other():
    quiet = Quiet()
    one = Somebody(quiet.alone)
    assert one.is_in.wait(SECONDS)
    two = Somebody(quiet.alone)
    assert waits(quiet)
    assert not two.is_in.is_set()
    one.leave()
    assert two.is_in.wait(SECONDS)
    two.leave()


def test_an_error_lets_the_next_one_in():
    quiet = Quiet()
    for way in (quiet.beside, quiet.alone):
        with pytest.raises(ValueError, match="an error"), way():
            raise ValueError("an error")
    with quiet.alone(), pytest.raises(ZeroDivisionError):
        raise ZeroDivisionError
