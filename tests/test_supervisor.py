import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from django_dlq import supervisor
from django_dlq.runner import SUPERVISOR
from django_dlq.supervisor import Child, Supervisor, manage

pytestmark = pytest.mark.once

WAITS = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open({!r}, 'w'); time.sleep(600)"


def python(program):
    return [sys.executable, "-c", program]


def wait_until(condition):
    pause = threading.Event()
    for _ in range(1500):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not happen")


def lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def supervise(monkeypatch):
    """Run a supervisor in a thread, and see to it that nothing is left of it."""
    monkeypatch.setattr(supervisor, "LOOK_EVERY", 0.01)
    running = []

    def start(*, grace=10.0, **programs):
        chief = Supervisor({name: python(program) for name, program in programs.items()}, grace=grace)
        thread = threading.Thread(target=chief.run)
        running.append((chief, thread))
        thread.start()
        return chief, thread

    yield start
    for chief, thread in running:
        chief.stopped.set()
        thread.join(30)
        assert not thread.is_alive()


def is_running(child):
    return child.process is not None and child.process.poll() is None


def test_every_process_is_started_and_all_end_together(supervise, capfd):
    chief, thread = supervise(relay=WAITS, retry=WAITS)
    wait_until(lambda: all(is_running(child) for child in chief.children))
    pids = [child.process.pid for child in chief.children]
    chief.stopped.set()
    thread.join(30)

    assert not any(lives(pid) for pid in pids)
    assert [child.process.returncode for child in chief.children] == [-signal.SIGTERM] * 2
    assert f"dlq_run: relay started, process {pids[0]}\n" in capfd.readouterr().err


def test_what_dies_is_started_again(supervise, capfd):
    chief, _ = supervise(relay=WAITS)
    (child,) = chief.children
    wait_until(lambda: is_running(child))
    first = child.process
    first.kill()
    wait_until(lambda: child.deaths == 1)
    child.start_at = 0.0  # no need to wait the second out
    wait_until(lambda: is_running(child) and child.process is not first)

    assert "relay ended with status -9; starting it again in 1 s" in capfd.readouterr().err


def test_one_that_dies_leaves_the_others_alone(supervise):
    chief, _ = supervise(relay=WAITS, retry="raise SystemExit(3)")
    relay, retry = chief.children
    wait_until(lambda: retry.deaths == 1 and is_running(relay))

    assert relay.deaths == 0


class Dead:
    """A process that has ended."""

    def poll(self):
        return 1


@pytest.mark.parametrize(
    ("deaths", "age", "pause", "counted"),
    [(0, 5, 1, 1), (1, 5, 2, 2), (4, 5, 16, 5), (5, 5, 30, 6), (99, 5, 30, 100), (7, 61, 1, 1)],
)
def test_restarts_wait_longer_each_time_unless_it_had_run_for_a_while(deaths, age, pause, counted):
    chief = Supervisor({})
    now = time.monotonic()
    child = Child(name="relay", command=[], process=Dead(), started=now - age, deaths=deaths)
    chief._look_after(child)

    assert child.process is None
    assert child.deaths == counted
    assert now + pause <= child.start_at < now + pause + 5
    chief._look_after(child)
    assert child.process is None  # its time has not come


def test_what_does_not_end_in_time_is_killed(supervise, tmp_path):
    ready = tmp_path / "ready"
    chief, thread = supervise(grace=0.2, stubborn=STUBBORN.format(str(ready)), relay=WAITS)
    wait_until(lambda: ready.exists() and all(is_running(child) for child in chief.children))
    chief.stopped.set()
    thread.join(30)

    assert [child.process.returncode for child in chief.children] == [-signal.SIGKILL, -signal.SIGTERM]


def test_a_process_knows_its_supervisor_and_stands_outside_its_group(supervise, tmp_path):
    told = tmp_path / "told"
    program = (
        f"import os; text = f\"{{os.environ['{SUPERVISOR}']}} {{os.getpgrp() == os.getpid()}}\"; "
        f"open({str(told)!r} + '.part', 'w').write(text); os.replace({str(told)!r} + '.part', {str(told)!r}); {WAITS}"
    )
    supervise(relay=program)
    wait_until(told.exists)

    assert told.read_text() == f"{os.getpid()} True"


def test_sigterm_ends_the_supervisor_and_no_child_is_left():
    program = (
        "import sys; from django_dlq.supervisor import Supervisor; "
        f"Supervisor({{'relay': [sys.executable, '-c', {WAITS!r}]}}, grace=10).run()"
    )
    command = python(program)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as chief:
        pid = int(chief.stderr.readline().rpartition(" ")[2])
        chief.terminate()
        assert chief.wait(30) == 0
        assert not lives(pid)


def test_a_command_that_cannot_be_started_ends_the_others_and_is_an_error(monkeypatch):
    chief = Supervisor({"relay": python(WAITS), "wrong": ["/nonexistent/program"]}, grace=10)
    with pytest.raises(FileNotFoundError):
        chief.run()

    assert chief.children[0].process.returncode == -signal.SIGTERM


def test_commands_run_as_this_process_was_run(monkeypatch, tmp_path):
    script = tmp_path / "manage.py"
    script.touch()
    monkeypatch.setattr(sys, "argv", [str(script), "dlq_run"])
    assert manage("dlq_relay", "--once") == [sys.executable, str(script), "dlq_relay", "--once"]

    script.unlink()
    assert manage("dlq_relay") == [sys.executable, "-m", "django", "dlq_relay"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/django-admin", "dlq_run"])
    assert manage("dlq_relay") == [sys.executable, "-m", "django", "dlq_relay"]
