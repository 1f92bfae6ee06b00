"""PostgreSQL, as strict about durability as in production."""

import glob
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.services import process
from tests.services.service import Server, ServiceError

DATABASE = "dlq"
BINARIES = "/usr/lib/postgresql/*/bin"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "logical",
    "max_connections": "200",
}


class Postgresql(Server):
    """Run Debian's PostgreSQL from a private data directory."""

    name = "postgresql"
    packages = {"postgresql": f"{BINARIES}/postgres"}
    port_variable = "DLQ_POSTGRESQL_PORT"
    default_port = 55432
    # What `pg_ctl stop -m fast` sends: end the sessions, write everything, leave.
    stop_signal = signal.SIGINT
    # PostgreSQL refuses to run as root.
    user = "postgres" if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """Return the DATABASE_URL."""
        return f"postgres://postgres@{self.host}:{self.port}/{DATABASE}"

    def version(self) -> str | None:
        """Ask over TCP, in SQL, for the server's version."""
        answer = self.sql("SELECT current_setting('server_version')")
        return answer.split()[0] if answer else None

    def sql(self, statement: str) -> str | None:
        """Run one statement in the maintenance database and return psql's bare output, or None when it failed."""
        command = [self._binary("psql"), "-X", "-A", "-t", "-h", self.host, "-p", str(self.port), "-U", "postgres"]
        environment = os.environ | {"PGCONNECT_TIMEOUT": "5"}
        try:
            done = subprocess.run(
                [*command, "-d", "postgres", "-c", statement],
                env=environment,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    def command(self) -> Sequence[str]:
        """Return the postmaster's command line."""
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        return [self._binary("postgres"), "-D", str(self.data), "-p", str(self.port), *settings]

    def create(self, data: Path) -> None:
        """Run initdb as the user that the server will run as."""
        if self.user:
            shutil.chown(self.directory, self.user, self.user)
        shutil.rmtree(data, ignore_errors=True)
        command = [self._binary("initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-E", "UTF8"]
        subprocess.run(
            [*command, "--locale=C.UTF-8", "--no-sync"],
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
            check=True,
            **process.as_user(self.user),
        )

    def clear_remains(self) -> None:
        """Wait for the children of a killed postmaster, and remove its lock file."""
        # PostgreSQL believes its lock file while its number exists, and a zombie's does until init looks after it.
        # Without children, which all work in the data directory, nobody holds the data and the file says nothing.
        if not process.wait_for(lambda: not process.working_in(self.data), seconds=30):
            raise ServiceError(f"processes of an earlier {self.name} still work in {self.data}")
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def settle(self) -> None:
        """Create the tests' database."""
        if self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'") == "1":
            return
        if self.sql(f"CREATE DATABASE {DATABASE}") is None:
            raise ServiceError(f"database {DATABASE} cannot be created; {self.log} ends:\n{self.log_tail()}")

    def _binary(self, name: str) -> str:
        """Find a PostgreSQL program: the newest that Debian installed, else whatever the PATH has."""
        found = sorted(glob.glob(f"{BINARIES}/{name}"), key=lambda path: float(path.split("/")[4]))
        return found[-1] if found else name


POSTGRESQL = Postgresql()
