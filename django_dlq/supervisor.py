"""Keep a handful of processes running."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django_dlq.runner import SUPERVISOR
from django_dlq.stop_signals import stopping_on_signals

LOOK_EVERY = 0.2
LONGEST_PAUSE = 30.0
STEADY_AFTER = 60.0
"""Seconds after which a process counts as healthy, so that its next restart is at once again."""


@dataclass(slots=True)
class Child:
    """One process to keep running."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0
    start_at: float = field(default_factory=time.monotonic)


class Supervisor:
    """Start processes, start again what dies, and end them all together.

    Restarts wait 1, 2, 4 … seconds, at most 30, so that a process that cannot start does not eat the machine. SIGTERM
    and SIGINT are passed on; what has not ended after `grace` seconds is killed, which loses nothing. If the supervisor
    itself is killed, its processes notice and end.
    """

    def __init__(self, commands: Mapping[str, Sequence[str]], *, grace: float = 30.0) -> None:
        self.children = [Child(name=name, command=command) for name, command in commands.items()]
        self.grace = grace
        self.stopped = threading.Event()

    def run(self) -> None:
        """Keep them running until told to stop."""
        with stopping_on_signals(self.stopped.set):
            try:
                while not self.stopped.is_set():
                    for child in self.children:
                        self._look_after(child)
                    self.stopped.wait(LOOK_EVERY)
            finally:
                self._end_all()

    def _look_after(self, child: Child) -> None:
        if child.process is None:
            if time.monotonic() >= child.start_at:
                self._start(child)
            return
        status = child.process.poll()
        if status is None:
            return
        if time.monotonic() - child.started > STEADY_AFTER:
            child.deaths = 0
        pause = min(LONGEST_PAUSE, 2.0**child.deaths)
        child.deaths += 1
        child.process, child.start_at = None, time.monotonic() + pause
        _say(f"{child.name} ended with status {status}; starting it again in {pause:.0f} s")

    def _start(self, child: Child) -> None:
        environment = {**os.environ, SUPERVISOR: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
        # A process group of its own: Ctrl-C in a terminal reaches the supervisor alone, which then ends all in order.
        child.process = subprocess.Popen(child.command, env=environment, start_new_session=True)  # noqa: S603
        child.started = time.monotonic()
        _say(f"{child.name} started, process {child.process.pid}")

    def _end_all(self) -> None:
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self.grace
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def manage(*arguments: str) -> list[str]:
    """Return the command line that runs a management command as this process was run."""
    script = sys.argv[0]
    if script.endswith("manage.py") and os.path.exists(script):
        return [sys.executable, script, *arguments]
    return [sys.executable, "-m", "django", *arguments]


def _say(text: str) -> None:
    sys.stderr.write(f"dlq_run: {text}\n")
    sys.stderr.flush()
