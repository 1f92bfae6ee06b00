import threading

import pytest
from django.db import connections

from django_dlq.beside import run_together
from django_dlq.runner import Loop

pytestmark = pytest.mark.once


class Machine:
    """A machine that does what it is given, and knows in which thread, and whether it was closed."""

    def __init__(self, act):
        self.act = act
        self.threads = set()
        self.is_closed = False

    def run_once(self):
        self.threads.add(threading.current_thread())
        self.act()
        return 0

    def close(self):
        self.is_closed = True


def together(*machines):
    loops = [Loop(machine, idle=0.001) for machine in machines]
    run_together(*loops)
    return loops


def test_each_loop_has_a_thread_and_all_end_when_the_first_is_told_to():
    both_ran = threading.Barrier(2)
    first, other = Machine(lambda: None), Machine(lambda: both_ran.wait(30))
    loop = Loop(first, idle=0.001)

    def act():
        both_ran.wait(30)
        loop.stopped.set()
        both_ran.abort()

    first.act = act
    other.act = lambda: both_ran.broken or _wait(both_ran)
    run_together(loop, Loop(other, idle=0.001))

    assert first.threads == {threading.current_thread()}
    assert len(first.threads | other.threads) == 2
    assert first.is_closed
    assert other.is_closed


def _wait(barrier):
    try:
        barrier.wait(30)
    except threading.BrokenBarrierError:
        return


def fail():
    raise ZeroDivisionError


@pytest.mark.parametrize("who", [0, 1])
def test_if_one_fails_all_end_and_its_error_is_raised(who):
    machines = [Machine(fail if number == who else lambda: None) for number in range(2)]

    with pytest.raises(ZeroDivisionError):
        together(*machines)
    assert [machine.is_closed for machine in machines] == [True, True]


@pytest.mark.django_db(transaction=True)
def test_a_thread_leaves_no_database_connection_behind():
    found = []

    def act():
        connections["default"].ensure_connection()
        found.append(connections["default"])  # this thread's
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        together(Machine(lambda: None), Machine(act))
    assert found[0] is not connections["default"]
    assert found[0].connection is None


def test_alone_a_loop_runs_as_ever():
    machine = Machine(fail)

    with pytest.raises(ZeroDivisionError):
        together(machine)
    assert machine.threads == {threading.current_thread()}
