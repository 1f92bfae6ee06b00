"""Services of one test's own, which it may stop without disturbing anybody."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.services.kafka import KAFKA, Kafka
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
    try:
        server.up()
        yield server
    finally:
        server.kill()
        shutil.rmtree(directory)


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
