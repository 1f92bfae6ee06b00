"""Somebody who follows the tutorial: types its commands, writes its files, watches its terminals."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

from sybil import Example

from tests.docs import console
from tests.services.process import wait_for

SECONDS = 60.0
LEFT_RUNNING = re.compile(r"mock_kafka|dlq_run(?!.*--once)|runserver")
LETTER = "django_dlq/deadletter/1/change/"
FILE = re.compile(r"# (?P<path>[\w/]+\.py)(?P<at_end>, at the end)?\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """A command that is left running, and what it has said."""

    process: subprocess.Popen[bytes]
    log: Path

    def says(self, text: str) -> bool:
        """Tell whether each line of a text, where … stands for anything, was printed."""
        said = self.log.read_text()
        return all(re.search(re.escape(line).replace("…", ".*"), said) for line in text.splitlines())

    def stop(self) -> None:
        """Press Ctrl-C."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        finally:
            assert self.process.stdin
            self.process.stdin.close()


class Reader:
    """Follow the tutorial in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.terminals: dict[str, Terminal] = {}
        self.browser = build_opener(HTTPCookieProcessor())
        self.csrf_token = ""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        ours = {"DJANGO_SETTINGS_MODULE", "DATABASE_URL"}
        self.environment = {name: value for name, value in os.environ.items() if name not in ours} | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }

    def leave(self) -> None:
        """Close every terminal, the last one first."""
        for terminal in reversed(self.terminals.values()):
            terminal.stop()

    def types(self, example: Example) -> None:
        """Type the commands of a block, and compare what they print."""
        for command, output in console.typed(example.parsed):
            if command.startswith("pip "):
                console.CHECKS["pip"](shlex.split(command)[1:], output)
            elif LEFT_RUNNING.search(command):
                self._leave_running(command, output)
            else:
                self._run(command, output)

    def writes(self, example: Example) -> None:
        """Write the file that the first line of a block names."""
        name = FILE.match(example.parsed)
        assert name, "the first line of a Python block in the tutorial names its file"
        path = self.directory / name["path"]
        before = path.read_text() if name["at_end"] else ""
        path.write_text(before + example.parsed[name.end() :])

    def watches(self, example: Example) -> None:
        """Wait until one of the terminals shows these lines."""
        self._waits(lambda: any(terminal.says(example.parsed) for terminal in self.terminals.values()))

    def acts(self, example: Example) -> None:
        """Do in the browser what a comment of the page says."""
        if not self.csrf_token:
            self._open("login/")
            self._open("login/", username="ada", password="practise", next="/admin/")
        verb, _, text = example.parsed.partition(": ")
        if verb == "reads":
            assert text in self._open("django_dlq/deadletter/")
            assert text in self._open(LETTER)
        else:
            assert verb == "replays"
            assert f"{LETTER.removesuffix('change/')}replay/" in self._open(LETTER)
            self._open("django_dlq/deadletter/confirm/replay/", ids="1", reason="", filters="")
            self._waits(lambda: "resolved" in self._open(LETTER))

    def _open(self, path: str, **form: str) -> str:
        data = urlencode(form | {"csrfmiddlewaretoken": self.csrf_token}).encode() if form else None
        with self.browser.open(f"http://127.0.0.1:{self.port}/admin/{path}", data, timeout=SECONDS) as response:
            html: str = response.read().decode()
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)
        self.csrf_token = found[1] if found else self.csrf_token
        return html

    def _is_served(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS):
            return True
        return False

    def _waits(self, condition: Callable[[], bool]) -> None:
        """Wait for something, and on failure show every terminal."""
        if not wait_for(condition, seconds=SECONDS):
            said = (f"--- {name}\n{terminal.log.read_text()}" for name, terminal in self.terminals.items())
            raise AssertionError("\n".join(["it did not come to pass", *said]))

    def _run(self, command: str, output: str) -> None:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert not output or console.is_as_printed(output, done.stdout), f"{command} printed:\n{done.stdout}"

    def _leave_running(self, command: str, output: str) -> None:
        if command in self.terminals:
            self.terminals[command].stop()
        log = self.directory / f"terminal-{len(self.terminals)}.log"
        typed = command.replace("runserver", f"runserver --noreload {self.port}")
        with log.open("wb") as said:
            # exec, so that Ctrl-C reaches the program; a terminal's input stays open.
            process = subprocess.Popen(
                ["bash", "-c", f"exec {typed}"],
                cwd=self.directory, env=self.environment, start_new_session=True, preexec_fn=_hear_ctrl_c,  # noqa: PLW1509
                stdin=subprocess.PIPE, stdout=said, stderr=said,
            )  # fmt: skip
        terminal = self.terminals[command] = Terminal(process=process, log=log)
        into = re.search(r"> (\S+)$", command)
        if into:
            file = self.directory / into[1]
            self._waits(lambda: file.exists() and file.read_text().endswith("\n"))
        elif "runserver" in command:
            self._waits(self._is_served)
        else:
            self._waits(lambda: terminal.says(output))


def _hear_ctrl_c() -> None:
    # A shell that runs the tests in the background has them ignore SIGINT, and whatever they start would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
