"""Run the demo as a person would."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.services.process import wait_for

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "example_project.demo"]


@contextmanager
def demo_that_runs(mark: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a demo, wait until it says what to try, and end it afterwards; it writes to `output`."""
    with output.open("wb") as file:
        demo = subprocess.Popen(COMMAND, cwd=ROOT, env=environment(mark), stdout=file, stderr=file)
    try:
        opened = wait_for(lambda: "Try this" in output.read_text() or demo.poll() is not None, seconds=90)
        assert opened, output.read_text()
        assert demo.poll() is None, output.read_text()
        yield demo
    finally:
        demo.terminate()
        demo.wait(30)


def environment(mark: str, **variables: str) -> dict[str, str]:
    """Return this process's environment without what chooses a database, and with a mark."""
    ours = {"DATABASE_URL", "DJANGO_SETTINGS_MODULE", "KAFKA", "ONCE", "PORT"}
    return {name: value for name, value in os.environ.items() if name not in ours} | {"DEMO_MARK": mark, **variables}
