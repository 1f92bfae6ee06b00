"""Services of one test's own, which it may stop without disturbing anybody."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from django.core.management import call_command
from django.db import connection

from tests.services.kafka import KAFKA, QUICK_COMPILER, Kafka
from tests.services.service import Server

AnyServer = TypeVar("AnyServer", bound=Server)


@contextmanager
def private(kind: type[AnyServer]) -> Iterator[AnyServer]:
    """Run a server with data and ports of its own, with the programs of the shared one, for as long as the block."""
    # Not pytest's own directory, which servers that run as another user cannot enter.
    directory = Path(tempfile.mkdtemp(prefix="django-dlq-scenario-", dir="/var/tmp"))
    directory.chmod(0o755)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DLQ_SERVICES_DIR", str(directory))
        environment.setenv(kind.port_variable, str(_free_port()))
        server = kind()
    if isinstance(server, Kafka):
        server.jars = KAFKA.jars
        server.options.append(QUICK_COMPILER)
    try:
        server.up()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory)


@contextmanager
def private_database(kind: type[AnyServer], *, user: str) -> Iterator[AnyServer]:
    """Put the default connection, and so the processes of a stage, on a server that the test may restart."""
    with private(kind) as server, pytest.MonkeyPatch.context() as patches:
        connection.close()
        for name, value in {"NAME": "dlq", "USER": user, "HOST": server.host, "PORT": server.port}.items():
            patches.setitem(connection.settings_dict, name, value)
        try:
            call_command("migrate", run_syncdb=True, verbosity=0)
            yield server
        finally:
            connection.close()


def _free_port() -> int:
    """Return a port that is free, and whose neighbour is, which Kafka's controller needs."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
