"""Start the processes of a scenario: from nothing, or from one that has imported everything already."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.services.process import send, wait_for

ROOT = Path(__file__).resolve().parents[2]


def spawn(module: str, *arguments: str, environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """Start a module in a Python of its own."""
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=ROOT, env=environment, stdout=output, stderr=output
        )


class Child:
    """A child of the nursery, with what the tests need of `subprocess.Popen`."""

    def __init__(self, pid: int, directory: Path) -> None:
        self.pid = pid
        self._end = directory / str(pid)

    @property
    def returncode(self) -> int | None:
        """How it ended, or None while it lives."""
        return int(self._end.read_text()) if self._end.exists() else None

    def poll(self) -> int | None:
        """Do as `returncode`, which is never old here."""
        return self.returncode

    def wait(self, seconds: float) -> int:
        """Wait for its end, and tell how it was."""
        if not wait_for(self._end.exists, seconds=seconds, pause=0.01):
            raise subprocess.TimeoutExpired(str(self.pid), seconds)
        return int(self._end.read_text())

    def send_signal(self, number: signal.Signals) -> None:
        """Signal it, unless it has ended."""
        if self.returncode is None:
            send(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """A process that has imported everything, and its children, which are there at once; nursery.py explains."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self.directory, self.log = directory / "nursery", directory / "nursery.log"
        self.directory.mkdir()
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.scenarios.nursery", str(self.directory)],
                cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
            )  # fmt: skip

    def bear(self, *command: str, log: Path = Path(os.devnull)) -> Child:
        """Start a module with these arguments, and its output in the log."""
        log.touch()  # whoever looks at once finds it empty
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([str(log), *command]) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"the nursery has ended, and said\n{self.log.read_text()}"
        return Child(int(answer), self.directory)

    def close(self) -> None:
        """End it; its children look after it, and end too."""
        self.process.kill()
        self.process.communicate()
