"""What is measured runs in processes of its own, as in production: here they are started, watched and stopped."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
GRACE = 20.0
COMMAND = ("-m", "django", "dlq_relay")


class Died(RuntimeError):
    """A process that is measured ended by itself."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of those that take turns."""

    name: str
    arguments: tuple[str, ...] = COMMAND
    environment: Mapping[str, str] = field(default_factory=dict)


OURS = Side("with history")
BARE = Side("no history", environment={"BENCH_HISTORY": "off"})
NOTIFIED = Side("NOTIFY", environment={"BENCH_NOTIFY": "on"})
RAW = Side("raw loop", ("-m", "benchmarks.raw_relay"))


class Running:
    """A process that runs, and the file that its output goes to."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Any) -> None:
        self._process, self._output = process, output
        self._stopped = False

    def expect_alive(self) -> None:
        """Raise Died, with its last words, if it has ended by itself."""
        if self._process.poll() is not None and not self._stopped:
            self._output.seek(0)
            raise Died(f"exit status {self._process.returncode}: {self._output.read().decode()[-2000:]}")

    def memory(self) -> float:
        """Return the most memory that it ever had resident, in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def stop(self) -> None:
        """End it as a deployment does, with SIGTERM; kill it if that does not help."""
        self._stopped = True
        self._process.terminate()
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(side: Side, bootstrap: str, database: str, **environment: str) -> Iterator[Running]:
    """Run one side from `with` to its end."""
    settings = {"DJANGO_SETTINGS_MODULE": "benchmarks.settings", "BENCH_DATABASE": database, "BENCH_KAFKA": bootstrap}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *side.arguments],
            cwd=ROOT,
            env=os.environ | settings | side.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        alive = Running(process, output)
        try:
            yield alive
            alive.expect_alive()
        finally:
            alive.stop()
