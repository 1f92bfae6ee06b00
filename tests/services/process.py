"""Start a server that outlives its starter, recognise it again, and end it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

KERNEL_THREAD = 0x200000  # PF_KTHREAD: the only living things without a command line
# The shell writes its own pid and then becomes the server, so the number is right even if we die here. The file has its
# name only when the number is in it: whoever looks between would take the server for dead.
REMEMBER_PID = 'echo $$ >"$0.new" && mv "$0.new" "$0" && exec "$@"'


class AsUser(TypedDict, total=False):
    """The arguments of subprocess that choose a user."""

    user: str
    group: str
    extra_groups: list[str]


def spawn(command: Sequence[str], *, pid_file: Path, log: Path, user: str | None = None) -> None:
    """Start a command in a session of its own, adopted by init, with its output in the log."""
    pid_file.unlink(missing_ok=True)
    # `setsid --fork` and not Popen: a child of ours would stay a zombie, or warn, whenever a test stops it.
    detached = ["setsid", "--fork", "sh", "-c", REMEMBER_PID, str(pid_file), *command]
    with log.open("ab") as output:
        subprocess.run(
            detached,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=pid_file.parent,
            check=True,
            **as_user(user),
        )


def as_user(user: str | None) -> AsUser:
    """Give subprocess the arguments that run a command as another user."""
    return {"user": user, "group": user, "extra_groups": []} if user else {}


def running_pid(pid_file: Path, *, marker: str) -> int | None:
    """Read the pid of a living process whose command line carries the marker."""
    try:
        pid = int(pid_file.read_text())
        # A stale file may name a zombie, whose command line is empty, or a stranger that got the number since.
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if marker.encode() in command_line or (not command_line and is_ending(pid)) else None


def is_ending(pid: int) -> bool:
    """Tell whether a process that has lost its command line still runs threads, and so holds its files and its port."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            state, *_, flags = stat.read_text().rpartition(")")[2].split()[:7]
        except OSError:
            continue
        if state not in "ZX" and not int(flags) & KERNEL_THREAD:
            return True
    return False


def working_in(directory: Path) -> list[int]:
    """List the processes whose working directory this is; a zombie has none."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == directory:
                found.append(int(entry.name))
        except OSError:  # gone since, or somebody else's
            continue
    return found


def send(pid: int, which: signal.Signals) -> None:
    """Signal a process, which may just have gone."""
    try:
        os.kill(pid, which)
    except ProcessLookupError:
        return


def wait_for(condition: Callable[[], bool], *, seconds: float, pause: float = 0.05) -> bool:
    """Ask again and again until the condition holds or the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
