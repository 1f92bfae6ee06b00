"""What all services share: packages, a place on disk, a real question that proves them ready, up and down."""

import fcntl
import os
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.services import packages, process

HOST = "127.0.0.1"
# A fixed place, so that every session finds the same servers.
DEFAULT_ROOT = "/var/tmp/django-dlq-services"
LOG_TAIL = 3000


class ServiceError(RuntimeError):
    """Say which service failed, and what it logged."""


@dataclass(frozen=True)
class Status:
    """Describe a service at one moment; no version means that nothing answered."""

    name: str
    version: str | None
    address: str

    def __str__(self) -> str:
        """Print as one line."""
        return f"{self.name:<11} {'up' if self.version else 'down':<5} {self.version or '-':<22} {self.address}"


class Service(ABC):
    """Something that tests need on the machine."""

    name: ClassVar[str]
    packages: ClassVar[Mapping[str, str]]  # Debian package -> a command or file pattern that proves it is there
    address: str = "-"

    def install(self) -> None:
        """Install the Debian packages that are missing."""
        packages.install(packages.missing(self.packages))

    @abstractmethod
    def version(self) -> str | None:
        """Ask the running service something real and return its version, or None when it does not answer."""

    def status(self) -> Status:
        """Describe the service now."""
        return Status(self.name, self.version(), self.address)

    def up(self) -> bool:
        """Make the service available, and return whether that took any doing."""
        if self.version():
            return False
        self.install()
        return True

    def down(self) -> None:
        """Stop what up() started."""
        return

    def reset(self) -> None:
        """Stop what up() started, and forget all that was stored in it."""
        self.down()


class Server(Service):
    """A service with a process, a port and a data directory."""

    port_variable: ClassVar[str]
    default_port: ClassVar[int]
    user: str | None = None  # the system user it runs as, when that is not us
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_seconds: ClassVar[float] = 60
    stop_seconds: ClassVar[float] = 60

    def __init__(self) -> None:
        """Read where to live from the environment."""
        self.host = HOST
        self.port = int(os.environ.get(self.port_variable) or self.default_port)
        self.directory = Path(os.environ.get("DLQ_SERVICES_DIR") or DEFAULT_ROOT).absolute() / self.name
        self.data = self.directory / "data"
        self.pid_file = self.directory / "pid"
        self.log = self.directory / "log"

    @property
    @abstractmethod
    def url(self) -> str:
        """Return what a client needs to connect."""

    @property
    def address(self) -> str:  # type: ignore[override]
        """Show people where to connect."""
        return self.url

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command that runs the server in the foreground."""

    @abstractmethod
    def create(self, data: Path) -> None:
        """Make a fresh data directory."""

    def clear_remains(self) -> None:
        """Remove what a server that was killed left in the way of the next one."""
        return

    def settle(self) -> None:
        """Prepare what only a running server can prepare."""
        return

    def pid(self) -> int | None:
        """Return the pid of our own server process while it lives."""
        return process.running_pid(self.pid_file, marker=str(self.directory))

    def up(self) -> bool:
        """Install, create, start and wait until the server answers; do nothing to one that already does."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._one_at_a_time():
            started = not self.version()
            if started:
                self.install()
                self._create_once()
                self.start()
            self.settle()
        return started

    def down(self) -> None:
        """Stop the server and keep its data."""
        self.stop()

    def reset(self) -> None:
        """Stop the server and remove its data; what was installed stays."""
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        if self.pid() is None:
            self.clear_remains()
            process.spawn(self.command(), pid_file=self.pid_file, log=self.log, user=self.user)
            process.wait_for(self.pid_file.exists, seconds=5)
        process.wait_for(self._ready_or_dead, seconds=self.start_seconds, pause=0.1)
        if not self.version():
            where = f"{self.host}:{self.port}"
            raise ServiceError(f"{self.name} does not answer on {where}; {self.log} ends:\n{self.log_tail()}")

    def stop(self) -> None:
        """Ask the server to finish, and wait until it has."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the server as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server in an orderly way and start it again."""
        self.stop()
        self.start()

    def log_tail(self) -> str:
        """Return the last words of the server's log."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:] if self.log.exists() else "(no log)"

    def _create_once(self) -> None:
        """Create the data directory beside its place and move it there when it is whole."""
        if self.data.exists():
            return
        self.create(fresh := self.directory / "data.new")
        fresh.rename(self.data)

    def _ready_or_dead(self) -> bool:
        """Stop waiting for a server that answers, and for one that is no more."""
        return self.pid() is None or self.version() is not None

    def _end(self, which: signal.Signals) -> None:
        """Signal the server and wait until its process is gone."""
        pid = self.pid()
        if pid is None:
            return
        process.send(pid, which)
        if not process.wait_for(lambda: self.pid() is None, seconds=self.stop_seconds):
            raise ServiceError(f"{self.name} (pid {pid}) is still there {self.stop_seconds:.0f} s after {which.name}")

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Keep two sessions from starting the same server at once."""
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
