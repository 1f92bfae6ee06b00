"""MariaDB with its own defaults, and what compiling mysqlclient against it takes."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.services.service import Server, ServiceError

DATABASE = "dlq"


class Mariadb(Server):
    """Run Debian's MariaDB from a private data directory."""

    name = "mariadb"
    packages = {
        "mariadb-server": "/usr/sbin/mariadbd",
        # mysqlclient is published as source only.
        "libmariadb-dev": "mariadb_config",
        "pkg-config": "pkg-config",
        "gcc": "gcc",
        "libc6-dev": "/usr/include/stdio.h",
        "python3-dev": f"{sysconfig.get_path('include')}/Python.h",
    }
    port_variable = "DLQ_MARIADB_PORT"
    default_port = 53306

    @property
    def url(self) -> str:
        """Return the DATABASE_URL."""
        return f"mysql://root@{self.host}:{self.port}/{DATABASE}"

    def version(self) -> str | None:
        """Ask over TCP, in SQL, for the server's version."""
        answer = self.sql("SELECT VERSION()")
        return answer.partition("-")[0] if answer else None

    def sql(self, statement: str) -> str | None:
        """Run one statement and return the client's bare output, or None when it failed."""
        address = ["--protocol=TCP", f"--host={self.host}", f"--port={self.port}", "--user=root"]
        command = ["mariadb", "--no-defaults", *address, "--connect-timeout=5", "--batch", "--skip-column-names"]
        try:
            done = subprocess.run(
                [*command, "--execute", statement], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    def command(self) -> Sequence[str]:
        """Return the server's command line."""
        # Of its own: any server that starts removes what it finds in the usual place, and a running one that loses a
        # temporary table so reports an error for its query, or crashes.
        (temporary := self.directory / "tmp").mkdir(exist_ok=True)
        return [
            "/usr/sbin/mariadbd",
            "--no-defaults",
            f"--datadir={self.data}",
            f"--socket={self.directory}/socket",
            f"--tmpdir={temporary}",
            f"--port={self.port}",
            f"--bind-address={self.host}",
            "--character-set-server=utf8mb4",
            "--max-connections=200",
            *self._as_root(),
        ]

    def create(self, data: Path) -> None:
        """Make the system tables, with a root that needs no password."""
        shutil.rmtree(data, ignore_errors=True)
        command = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db", *self._as_root()]
        subprocess.run(
            [*command, "--auth-root-authentication-method=normal"], stdout=subprocess.DEVNULL, check=True, timeout=120
        )

    def settle(self) -> None:
        """Create the tests' database."""
        if self.sql(f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4") is None:
            raise ServiceError(f"database {DATABASE} cannot be created; {self.log} ends:\n{self.log_tail()}")

    def _as_root(self) -> list[str]:
        """Tell MariaDB that root is meant, when it is: it refuses to run as root by accident."""
        return ["--user=root"] if os.geteuid() == 0 else []


MARIADB = Mariadb()
