"""`make demo`: unattended it keeps every promise, and however it ends it leaves nothing running."""

import re
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.demo import COMMAND, ROOT, demo_that_runs, environment
from tests.services.process import wait_for

OUTCOME = re.compile(
    r"demo: 200 orders, 200 shipped exactly once, 200 red packets, (\d+) dead letters, (\d+) replayed, 0 lost"
)
PROCESSES = 9
"""The supervisor, the shop, the logistics service, the relay, two consumers, retries, check-back and retention."""

pytestmark = pytest.mark.once


@pytest.fixture
def mark() -> str:
    """A word that all processes of one demo carry in their environment."""
    return uuid.uuid4().hex


@pytest.fixture
def running(mark: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A demo that a person could use."""
    with demo_that_runs(mark, tmp_path / "output") as demo:
        yield demo


@pytest.mark.timeout(240)
def test_played_unattended_the_demo_keeps_every_promise(mark: str) -> None:
    done = subprocess.run(
        COMMAND, cwd=ROOT, env=environment(mark, ONCE="1"), capture_output=True, text=True, timeout=220, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = OUTCOME.fullmatch(done.stdout.splitlines()[-1])
    assert outcome is not None, done.stdout
    dead, replayed = map(int, outcome.groups())
    assert replayed >= 40  # a long outage kills forty; on a slow machine the short one may kill some more
    assert dead == replayed + 2  # the unreadable message and the expired one stay
    assert not processes(mark)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_ended_leaves_nothing_running(
    running: "subprocess.Popen[bytes]", mark: str, how: signal.Signals
) -> None:
    assert len(processes(mark)) == PROCESSES
    running.send_signal(how)
    assert running.wait(30) == 0
    assert not processes(mark)


def test_a_demo_that_is_killed_leaves_nothing_running(running: "subprocess.Popen[bytes]", mark: str) -> None:
    assert len(processes(mark)) == PROCESSES
    running.kill()
    running.wait()
    assert wait_for(lambda: not processes(mark), seconds=20), processes(mark)


def test_a_port_that_is_taken_is_named(mark: str) -> None:
    done = subprocess.run(
        COMMAND, cwd=ROOT, env=environment(mark, PORT="nonsense"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "port nonsense cannot be used" in done.stderr


def processes(mark: str) -> list[int]:
    """List the living processes that carry the mark."""
    wanted = f"DEMO_MARK={mark}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # gone since, or somebody else's
            continue
    return found
