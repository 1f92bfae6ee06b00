"""Run a machine as long as it has something to do."""

from collections.abc import Iterable

import pytest

from django_dlq import runner
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.runner import until_idle


class Clock:
    """A clock that a machine moves on by its work."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Machine:
    """A machine that does what it is told; each run takes ten seconds."""

    def __init__(self, clock: Clock, amounts: Iterable[int | Exception]) -> None:
        self.clock, self.amounts = clock, iter(amounts)
        self.runs = self.closed = 0

    def run_once(self) -> int:
        self.runs += 1
        self.clock.now += 10
        amount = next(self.amounts, 0)
        if isinstance(amount, Exception):
            raise amount
        return amount

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(runner, "time", clock)
    return clock


def test_a_machine_works_until_nothing_is_left(clock: Clock) -> None:
    machine = Machine(clock, [3, 2, 0, 7])
    assert until_idle(machine) == 5
    assert (machine.runs, machine.closed) == (3, 1)


def test_the_rest_is_left_when_the_time_is_up(clock: Clock) -> None:
    machine = Machine(clock, [1] * 100)
    assert until_idle(machine, limit=50) == 5
    assert machine.closed == 1


def test_a_patient_machine_waits_for_the_first_work_only(clock: Clock) -> None:
    machine = Machine(clock, [0, 4, 4, 0, 4])
    assert until_idle(machine, patience=15) == 8
    assert machine.runs == 4


def test_patience_ends(clock: Clock) -> None:
    machine = Machine(clock, [0, 0, 0, 4])
    assert until_idle(machine, patience=15) == 0
    assert machine.runs == 2


def test_a_machine_that_fails_is_closed_and_its_error_is_raised(clock: Clock) -> None:
    machine = Machine(clock, [1, BrokerUnavailable("down")])
    with pytest.raises(BrokerUnavailable):
        until_idle(machine)
    assert machine.closed == 1
