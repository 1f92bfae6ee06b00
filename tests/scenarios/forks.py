"""Processes that are there at once, with the code of the test: forks of the one that runs it."""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable

from django.db import connections

from tests.services.process import wait_for

SECONDS = 120.0  # many times what they take on a machine that is not busy


class Fork:
    """A child that runs a function on database connections of its own, and ends."""

    def __init__(self, function: Callable[[], object]) -> None:
        # What both had would be closed by whoever ends first.
        connections.close_all()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other tests may have left threads, which it lacks
            self.pid = os.fork()
        if not self.pid:
            run_and_end(function)
        self.status: int | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it is gone."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def wait(self) -> int:
        """Wait for its end; return how it ended, less than 0 if by a signal."""
        if not wait_for(lambda: self.has_ended, seconds=SECONDS):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise AssertionError("a child did not end")
        assert self.status is not None
        return self.status

    def was_killed(self) -> bool:
        """Wait for its end, and tell whether it was killed before it had done its work."""
        status = self.wait()
        assert status in (0, -signal.SIGKILL)
        return status != 0


def run_and_end(function: Callable[[], object]) -> None:
    """Run it as a process of its own would, and leave nothing of the test to be done a second time."""
    try:
        function()
        os._exit(0)
    except BaseException:  # noqa: BLE001  # it is the child's whole life
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
