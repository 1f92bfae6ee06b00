"""Loops, which no other file knows."""

import gc
import math
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from django.db import DatabaseError, InterfaceError, OperationalError

from django_dlq import signals
from django_dlq.connections import close_connections, close_old_connections
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.stop_signals import stopping_on_signals

SHORTEST_REST = 0.001
LONGEST_PAUSE = 5.0
LONGEST_STEP = 0.1
COLLECT_AFTER = 100_000
"""Objects that come up, more than go, before Python looks for circles of garbage; its default is 700 to 2,000."""

SUPERVISOR = "DLQ_SUPERVISOR_PID"
"""Environment variable: the process whose death ends this one, so that nothing is left running."""


class Machine(Protocol):
    """Something that does a piece of work whenever it is asked.

    It may have more: `pause`, the seconds to wait between two batches, for one that shall not take all that the
    database can give; and `rest(seconds) -> bool`, which waits up to so long, in place of the loop, for somebody to say
    that there may be work, and returns whether that is so.
    """

    def run_once(self) -> int:
        """Do what there is to do, at most one batch; return how much was done."""

    def close(self) -> None:
        """Give back leases and connections."""


class Loop:
    """Run a machine again and again until it is told to stop.

    SIGTERM and SIGINT let it finish the batch in hand; a second one ends the process at once, as if it had been killed,
    which loses nothing. While the database or the broker cannot be reached it waits, longer each time up to five
    seconds, and goes on by itself. Where there was just work there is often more: so it looks again at once, and then
    rests for a quarter of the time since there was any, up to `idle` seconds. A machine that has a `grace` is given so
    many seconds to end when it is told to; then the process ends without it, whatever its main thread is doing, unless
    that keeps Python's own lock. If it has `end(seconds)`, that is called in place of `close` with the seconds that are
    left; and if it has `abandon()`, so is that, in another thread, before the process ends without it.
    """

    def __init__(self, machine: Machine, *, idle: float) -> None:
        self.machine = machine
        self.idle = idle
        self.stopped = threading.Event()
        self._ended = threading.Event()
        self._deadline = math.inf
        self._troubles = 0
        self._last_work = time.monotonic()

    def run(self) -> None:
        """Run until stopped, then close the machine."""
        # Made before any signal comes: a signal's handler must not start a thread.
        limiter = threading.Thread(target=self._limit_the_end, name="dlq-grace", daemon=True)
        if hasattr(self.machine, "grace"):
            limiter.start()
        try:
            with stopping_on_signals(self.stopped.set):
                while not self.stopped.is_set() and not orphaned():
                    self._turn()
        finally:
            self.stopped.set()
            self._close()
            if getattr(self.machine, "has_left_some_behind", False):
                limiter.join()  # they have until the process ends
            self._ended.set()

    def _limit_the_end(self) -> None:
        self.stopped.wait()
        grace = _grace_of(self.machine)
        self._deadline = time.monotonic() + grace
        if not self._ended.wait(grace):
            signals.tell(signals.grace_is_over, type(self.machine), seconds=grace)
            getattr(self.machine, "abandon", _do_nothing)()
            end_process()

    def _turn(self) -> None:
        close_old_connections()
        try:
            done = self.machine.run_once()
        except BrokerUnavailable as error:
            broker = getattr(self.machine, "broker", "")
            signals.tell(signals.broker_unavailable, type(self.machine), broker=broker, error=error)
            self._pause_for_trouble()
        except (OperationalError, InterfaceError) as error:
            signals.tell(signals.database_unavailable, type(self.machine), error=error)
            close_connections()
            self._pause_for_trouble()
        else:
            self._troubles = 0
            if not done:
                done = self._rest_until_called()
            elif pause := _pause_of(self.machine):
                self._rest(pause, self.stopped.wait)
            if done:
                self._last_work = time.monotonic()

    def _rest_until_called(self) -> bool:
        # To be told of work is as good as work: there is often more.
        seconds = rest_after(time.monotonic() - self._last_work, idle=self.idle)
        return self._rest(seconds, getattr(self.machine, "rest", self.stopped.wait))

    def _pause_for_trouble(self) -> None:
        self._troubles += 1
        self._rest(pause_after(self._troubles), self.stopped.wait)

    def _rest(self, seconds: float, wait: Callable[[float], bool]) -> bool:
        """Wait until told to stop, or until `wait` returns True; return whether it did.

        In steps, so that the end of the supervisor, and a signal, are noticed during a long wait too.
        """
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.stopped.is_set() and not orphaned():
            if wait(min(left, LONGEST_STEP)):
                return True
        return False

    def _close(self) -> None:
        try:
            if hasattr(self.machine, "end"):
                left = self._deadline - time.monotonic()
                self.machine.end(max(0.0, min(left, _grace_of(self.machine))))
            else:
                self.machine.close()
        except DatabaseError as error:
            # A lease that cannot be given back runs out by itself.
            signals.tell(signals.database_unavailable, type(self.machine), error=error)


def until_idle(machine: Machine, *, patience: float = 0.0, limit: float = math.inf) -> int:
    """Run a machine until nothing is left, or `limit` seconds are over, and close it; return how much was done.

    For the first work it waits up to `patience` seconds, and none for a machine that says that it is stopped.
    """
    done, began = 0, time.monotonic()
    try:
        while time.monotonic() - began < limit:
            amount = machine.run_once()
            done += amount
            is_busy = getattr(machine, "is_busy", False)
            if getattr(machine, "is_stopped", False):
                break
            if not amount and not is_busy and (done or time.monotonic() - began >= patience):
                break
            if amount and (pause := _pause_of(machine)):
                time.sleep(pause)
    finally:
        machine.close()
    return done


def _grace_of(machine: Machine) -> float:
    grace: float = getattr(machine, "grace", 0.0)
    return grace


def _do_nothing() -> None:
    pass


def _pause_of(machine: Machine) -> float:
    pause: float = getattr(machine, "pause", 0.0)
    return pause


def rest_after(quiet: float, *, idle: float) -> float:
    """Return the seconds to rest when there has been no work for so many: a quarter, from 1 ms to `idle`, with jitter.

    So work that follows other work is found after a quarter more of the time that lay between them, and looking for it
    costs a few dozen turns, however long `idle` is.
    """
    longest: float = min(idle, max(SHORTEST_REST, quiet / 4))
    return longest * random.uniform(0.8, 1.2)  # noqa: S311  # spreads processes apart


def pause_after(troubles: int) -> float:
    """Return the seconds to wait after so many troubles in a row: doubling to five, with jitter."""
    longest: float = min(LONGEST_PAUSE, 0.1 * 2 ** min(troubles, 10))
    return longest * random.uniform(0.5, 1)  # noqa: S311


def end_process() -> None:
    """End this process at once, as if it had been killed: whatever its threads are doing is rolled back."""
    os._exit(1)


def orphaned() -> bool:
    """Tell whether the supervisor that started this process is gone."""
    supervisor = os.environ.get(SUPERVISOR)
    return supervisor is not None and os.getppid() != int(supervisor)


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Let Python look for circles of garbage less often, and no more among what was there before.

    A batch is tens of thousands of objects without a circle, and each look goes over all of them, or over the whole
    project: that was much of what a message cost the relay.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
