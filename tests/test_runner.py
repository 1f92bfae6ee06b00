import gc
import os
import random
import signal
import threading
import time

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from django_dlq import runner, signals
from django_dlq.connections import close_connections, open_connections
from django_dlq.exceptions import BrokerUnavailable, Reject
from django_dlq.runner import (
    COLLECT_AFTER,
    SUPERVISOR,
    Loop,
    collecting_rarely,
    orphaned,
    pause_after,
    rest_after,
    until_idle,
)
from django_dlq.stop_signals import stopping_on_signals


class Script:
    """A machine that plays what it is given: counts of work, or errors; then it stops the loop that runs it."""

    def __init__(self, *turns):
        self.turns = list(turns)
        self.closed = 0
        self.loop = None

    def run_once(self):
        turn = self.turns.pop(0)
        if not self.turns and self.loop is not None:
            self.loop.stopped.set()
        if isinstance(turn, BaseException):
            raise turn
        return turn() if callable(turn) else turn

    def close(self):
        self.closed += 1


@pytest.fixture
def rests(monkeypatch):
    """Collect the seconds that a loop rests, instead of resting."""
    collected = []

    def rest(self, seconds, wait):
        collected.append(seconds)
        return False

    monkeypatch.setattr(Loop, "_rest", rest)
    return collected


@pytest.fixture
def exact_rests(rests, monkeypatch):
    """Collect rests without jitter, and let no other time pass."""
    no_jitter(monkeypatch)
    monkeypatch.setattr(runner.time, "monotonic", lambda: sum(rests))
    return rests


def no_jitter(monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)


def run(*turns, idle=0.1):
    machine = Script(*turns)
    machine.loop = Loop(machine, idle=idle)
    machine.loop.run()
    return machine


class TestLoop:
    def test_it_works_without_rest_while_there_is_work(self, rests):
        machine = run(5, 1, 3)

        assert (machine.turns, machine.closed, rests) == ([], 1, [])

    def test_it_rests_between_batches_where_the_machine_wants_it(self, rests, monkeypatch):
        monkeypatch.setattr(Script, "pause", 7, raising=False)
        run(5, 1)

        assert rests == [7, 7]

    def test_a_machine_that_does_not_end_within_its_grace_is_ended_with_the_process(self, monkeypatch):
        ended = threading.Event()
        told = []

        def receiver(seconds, **_):
            told.append(seconds)

        def hang():
            loop.stopped.set()
            assert ended.wait(30)
            return 0

        monkeypatch.setattr(Script, "grace", 0.01, raising=False)
        monkeypatch.setattr(runner, "end_process", ended.set)
        signals.grace_is_over.connect(receiver)
        loop = Loop(Script(hang), idle=0.1)
        loop.run()
        signals.grace_is_over.disconnect(receiver)
        assert told == [0.01]

    def test_one_that_ends_in_time_is_not(self, monkeypatch):
        monkeypatch.setattr(Script, "grace", 30, raising=False)
        monkeypatch.setattr(runner, "end_process", lambda: pytest.fail("it had ended"))
        run(1)
        for thread in threading.enumerate():
            if thread.name == "dlq-grace":
                thread.join(30)

    def test_after_work_it_looks_at_once_and_then_rests_for_a_quarter_of_the_time_since(self, exact_rests):
        run(*[0] * 9, 1, *[0] * 7, idle=0.0025)

        quiet = [0.001] * 4 + [0.001, 0.00125, 0.0015625, 0.001953125, 0.00244140625]
        assert exact_rests == pytest.approx([*quiet, *quiet[:7]])

    def test_however_long_there_was_nothing_it_looks_again_after_its_idle_interval(self, exact_rests):
        run(*[0] * 100, idle=10)

        assert exact_rests[-1] == 10
        assert len([rest for rest in exact_rests if rest < 10]) < 50

    def test_who_is_told_of_work_looks_as_often_as_after_work(self, monkeypatch):
        no_jitter(monkeypatch)
        now, waits = [0.0], []

        def rest(self, seconds):
            """Let a second pass, or be called in the tenth rest."""
            waits.append(seconds)
            now[0] += seconds
            return len(waits) == 10

        monkeypatch.setattr(runner.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(Script, "rest", rest, raising=False)
        run(*[0] * 12, idle=0.002)

        assert waits[9] == pytest.approx(0.002)
        assert waits[10] == pytest.approx(0.001)

    @pytest.mark.parametrize("error", [BrokerUnavailable("x"), OperationalError("x"), InterfaceError("x")], ids=repr)
    def test_trouble_is_waited_out_longer_each_time(self, rests, monkeypatch, error):
        monkeypatch.setattr(random, "uniform", lambda low, high: high)
        run(*[error] * 8)

        assert rests == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]

    def test_after_success_patience_begins_anew(self, rests, monkeypatch):
        monkeypatch.setattr(random, "uniform", lambda low, high: high)
        run(OperationalError(), OperationalError(), 1, OperationalError())

        assert rests == [0.2, 0.4, 0.2]

    def test_receivers_are_told_of_trouble(self, rests):
        told = []

        def receiver(sender, error, **_):
            told.append((sender, str(error)))

        for each in (signals.broker_unavailable, signals.database_unavailable):
            each.connect(receiver)
        run(BrokerUnavailable("broker"), OperationalError("database"))
        for each in (signals.broker_unavailable, signals.database_unavailable):
            each.disconnect(receiver)
        assert told == [(Script, "broker"), (Script, "database")]

    @pytest.mark.parametrize("error", [ValueError("a bug"), DatabaseError("wrong SQL"), Reject("odd")], ids=repr)
    def test_any_other_error_ends_it_and_the_machine_is_closed(self, rests, error):
        machine = Script(error, 1)
        with pytest.raises(type(error)):
            Loop(machine, idle=0.1).run()

        assert (machine.closed, len(machine.turns)) == (1, 1)

    def test_a_lease_that_cannot_be_given_back_is_no_error(self, rests, monkeypatch, caplog):
        def close(self):
            raise OperationalError("gone")

        monkeypatch.setattr(Script, "close", close)
        run(1)

        assert "the database is unavailable: gone" in caplog.text

    def test_it_does_not_begin_after_its_supervisor_has_gone(self, rests, monkeypatch):
        monkeypatch.setenv(SUPERVISOR, str(os.getppid() + 1))
        machine = Script(1)
        Loop(machine, idle=0.1).run()

        assert (machine.turns, machine.closed) == ([1], 1)

    def test_it_rests_until_it_is_told_to_stop(self):
        machine = Script(*[0] * 10_000)  # many times as often as it looks before it is told
        loop = Loop(machine, idle=3600)
        thread = threading.Thread(target=loop.run)
        thread.start()
        loop.stopped.set()
        thread.join(30)

        assert not thread.is_alive()
        assert machine.closed == 1

    def test_a_rest_ends_when_the_supervisor_has_gone(self, monkeypatch):
        monkeypatch.setenv(SUPERVISOR, str(os.getppid() + 1))
        began = time.monotonic()
        loop = Loop(Script(), idle=0)
        loop._rest(3600, loop.stopped.wait)

        assert time.monotonic() - began < 60

    def test_a_rest_has_its_length(self):
        began = time.monotonic()
        loop = Loop(Script(), idle=0)

        assert not loop._rest(0.05, loop.stopped.wait)
        assert time.monotonic() - began >= 0.05

    def test_a_rest_goes_on_when_the_machine_returns_early_for_nothing(self, monkeypatch):
        now = [0.0]
        monkeypatch.setattr(runner.time, "monotonic", lambda: now[0])

        def wait(seconds):
            now[0] += seconds / 2
            return False

        assert not Loop(Script(), idle=0)._rest(0.05, wait)
        assert now[0] == pytest.approx(0.05)

    def test_a_signal_ends_the_rest_of_a_machine_within_a_tenth_of_a_second(self):
        waits = []

        def wait(seconds):
            waits.append(seconds)
            os.kill(os.getpid(), signal.SIGTERM)
            return False

        loop = Loop(Script(), idle=0)
        with stopping_on_signals(loop.stopped.set):
            loop._rest(3600, wait)

        assert waits == [0.1]


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_lets_it_finish_what_is_in_hand(self, rests, number):
        before = signal.getsignal(number)
        done = []

        def work():
            os.kill(os.getpid(), number)
            done.append("finished")
            return 1

        machine = Script(work, 1)
        Loop(machine, idle=0.1).run()

        assert (done, len(machine.turns), machine.closed) == (["finished"], 1, 1)
        assert signal.getsignal(number) is before


class TestUntilIdle:
    def test_it_ends_when_nothing_is_left_and_closes_the_machine(self):
        machine = Script(3, 2, 0, 9)

        assert until_idle(machine) == 5
        assert (machine.turns, machine.closed) == ([9], 1)

    def test_a_machine_that_is_still_busy_is_not_idle(self):
        machine = Script(3, 0, 0, 2, 0, 9)
        turns = iter([False, True, True, False, False])
        Script.is_busy = property(lambda self: next(turns))
        try:
            assert until_idle(machine) == 5
        finally:
            del Script.is_busy
        assert machine.turns == [9]

    def test_a_machine_that_is_stopped_ends_at_once(self):
        machine = Script(3, 2, 0)
        machine.is_stopped = True

        assert until_idle(machine, patience=3600) == 3
        assert machine.closed == 1

    def test_it_waits_for_the_first_work_only(self):
        machine = Script(0, 0, 2, 0, 9)

        assert until_idle(machine, patience=3600) == 2
        assert machine.turns == [9]

    def test_it_rests_between_batches_where_the_machine_wants_it(self, monkeypatch):
        slept = []
        monkeypatch.setattr(runner.time, "sleep", slept.append)
        monkeypatch.setattr(Script, "pause", 7, raising=False)

        assert until_idle(Script(3, 2, 0)) == 5
        assert slept == [7, 7]

    def test_its_patience_ends(self, monkeypatch):
        times = iter(range(100))
        monkeypatch.setattr(runner.time, "monotonic", lambda: next(times))
        machine = Script(0, 0, 0, 0, 0, 0)

        assert until_idle(machine, patience=4) == 0
        assert 0 < len(machine.turns) < 6

    def test_it_has_a_limit(self, monkeypatch):
        times = iter(range(100))
        monkeypatch.setattr(runner.time, "monotonic", lambda: next(times))
        machine = Script(*[1] * 50)

        assert 0 < until_idle(machine, limit=5) < 10
        assert machine.closed == 1

    def test_an_error_closes_the_machine_too(self):
        machine = Script(1, ValueError())
        with pytest.raises(ValueError):  # noqa: PT011  # our own
            until_idle(machine)
        assert machine.closed == 1


@pytest.mark.once
def test_rests_have_jitter_so_that_processes_do_not_look_all_at_once():
    rests = [rest_after(1.0, idle=60) for _ in range(100)]
    assert 0.2 <= min(rests) < max(rests) <= 0.3


@pytest.mark.once
def test_pauses_double_up_to_five_seconds_with_jitter():
    for troubles, longest in [(1, 0.2), (2, 0.4), (5, 3.2), (6, 5.0), (10**6, 5.0)]:
        pauses = [pause_after(troubles) for _ in range(100)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest


@pytest.mark.once
def test_a_process_is_orphaned_when_its_supervisor_is_no_longer_its_parent(monkeypatch):
    monkeypatch.delenv(SUPERVISOR, raising=False)
    assert not orphaned()
    monkeypatch.setenv(SUPERVISOR, str(os.getppid()))
    assert not orphaned()
    monkeypatch.setenv(SUPERVISOR, str(os.getppid() + 1))
    assert orphaned()


@pytest.mark.django_db(transaction=True)
class TestConnections:
    def test_after_a_database_error_the_connection_is_closed(self, rests):
        connection.ensure_connection()
        run(OperationalError("gone"))

        assert open_connections() == [None]

    @pytest.mark.parametrize(("max_age", "stays"), [(0, True), (None, True), (600, True), (1, False)])
    def test_a_connection_is_kept_between_batches_until_its_age(self, rests, monkeypatch, max_age, stays):
        close_connections()
        monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", max_age)
        connection.ensure_connection()
        before = connection.connection
        if max_age == 1:
            connection.close_at = time.monotonic() - 1
        run(lambda: connection.ensure_connection() or 1)

        assert (connection.connection is before) is stays


def test_garbage_is_looked_for_less_often_while_a_machine_runs_and_as_before_afterwards():
    before = gc.get_threshold()
    with collecting_rarely():
        assert gc.get_threshold()[0] == COLLECT_AFTER
        assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold() == before
    assert not gc.get_freeze_count()
