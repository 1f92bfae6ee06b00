"""PgBouncer in transaction mode, in front of the PostgreSQL service: a session is anybody's after each commit."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.services.postgresql import DATABASE, POSTGRESQL
from tests.services.service import Server

# Few sessions for many clients, so that they really pass from hand to hand; a database that a test has finished with
# can be dropped a second later. A statement that finds no session for so long is an error that the test shall see.
CONFIGURATION = """\
[databases]
* = host={upstream} port={upstream_port}

[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
admin_users = postgres
pool_mode = transaction
default_pool_size = 6
max_client_conn = 200
server_idle_timeout = 1
query_wait_timeout = 20
"""


class Pgbouncer(Server):
    """Run Debian's PgBouncer from a private directory."""

    name = "pgbouncer"
    packages = {"pgbouncer": "/usr/sbin/pgbouncer"}
    port_variable = "DLQ_PGBOUNCER_PORT"
    default_port = 55434
    # It refuses to run as root; Debian's package brings this user.
    user = "postgres" if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """Return the DATABASE_URL."""
        return f"postgres://postgres@{self.host}:{self.port}/{DATABASE}"

    def version(self) -> str | None:
        """Ask its own console."""
        answer = self.ask("SHOW VERSION")  # "PgBouncer 1.18.0"
        return answer.split()[-1] if answer else None

    def ask(self, statement: str) -> str | None:
        """Run one statement in its console and return psql's bare output, or None when it failed."""
        command = ["psql", "-X", "-A", "-t", "-h", self.host, "-p", str(self.port), "-U", "postgres", "-d", "pgbouncer"]
        environment = os.environ | {"PGCONNECT_TIMEOUT": "5"}
        try:
            done = subprocess.run(
                [*command, "-c", statement], env=environment, capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    def command(self) -> Sequence[str]:
        """Write the configuration, which may have changed since, and return the command line."""
        configuration, users = self.data / "pgbouncer.ini", self.data / "users.txt"
        users.write_text('"postgres" ""\n')
        upstream = {"upstream": POSTGRESQL.host, "upstream_port": POSTGRESQL.port}
        configuration.write_text(CONFIGURATION.format(host=self.host, port=self.port, users=users, **upstream))
        return ["/usr/sbin/pgbouncer", str(configuration)]

    def create(self, data: Path) -> None:
        """Make the directory for the configuration, and let the user in that the server runs as."""
        if self.user:
            shutil.chown(self.directory, self.user, self.user)
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()


PGBOUNCER = Pgbouncer()
