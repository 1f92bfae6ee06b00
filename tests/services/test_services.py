"""Tests of the services themselves: down must read as down, and up must mean a real answer."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import ClassVar

import psycopg
import pytest

from tests.services import KAFKA, MARIADB, PGBOUNCER, POSTGRESQL, kafka_wire, process
from tests.services.connect import Connect
from tests.services.kafka import Kafka, console_consumer, console_producer
from tests.services.mariadb import Mariadb
from tests.services.pgbouncer import Pgbouncer
from tests.services.postgresql import Postgresql
from tests.services.service import Server
from tests.services.wrong_clock import can_be_wrong, wrong_clock

pytestmark = pytest.mark.once

needs_kafka = pytest.mark.skipif("DLQ_TEST_KAFKA" not in os.environ, reason="Kafka does not answer: make services")
SERVERS = [Postgresql, Pgbouncer, Mariadb, Kafka, Connect]


def at_port(server: type[Server], port: int, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Point a server's description at another port."""
    monkeypatch.setenv(server.port_variable, str(port))
    return server()


@pytest.fixture
def chatterbox() -> Iterator[int]:
    """Listen on a port and answer everything with HTTP."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = Thread(target=answer)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("server", SERVERS)
def test_closed_port_is_down(server: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken and not listening: nobody else can get it either
        status = at_port(server, unused.getsockname()[1], monkeypatch).status()
    assert status.version is None
    assert " down " in str(status)


@pytest.mark.parametrize("server", SERVERS)
def test_open_port_that_speaks_something_else_is_down(
    server: type[Server], chatterbox: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert at_port(server, chatterbox, monkeypatch).version() is None


def test_pid_file_that_names_a_stranger_is_stale(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    assert process.running_pid(pid_file, marker="/") is None
    pid_file.write_text(str(os.getpid()))
    assert process.running_pid(pid_file, marker=str(tmp_path)) is None


def test_spawned_process_is_recognised_and_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    # The directory in the command line, as every server of ours has it.
    command = ["python3", "-c", "import time; time.sleep(60)", str(tmp_path)]
    process.spawn(command, pid_file=pid_file, log=tmp_path / "log")
    assert process.wait_for(lambda: process.running_pid(pid_file, marker=str(tmp_path)) is not None, seconds=10)
    pid = process.running_pid(pid_file, marker=str(tmp_path))
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)
    process.send(pid, signal.SIGKILL)
    assert process.wait_for(lambda: process.running_pid(pid_file, marker=str(tmp_path)) is None, seconds=10)


class Notebook(Server):
    """A server of nothing, which writes a page each time it starts."""

    name = "notebook"
    packages: ClassVar[Mapping[str, str]] = {}
    port_variable = "DLQ_NOTEBOOK_PORT"
    default_port = 1
    url = "notebook"  # type: ignore[assignment]

    def version(self) -> str | None:
        return str(len(self.pages())) if self.pid() else None

    def pages(self) -> list[Path]:
        return list(self.data.glob("page*"))

    def create(self, data: Path) -> None:
        data.mkdir()

    def command(self) -> Sequence[str]:
        (self.data / f"page{len(self.pages())}").touch()
        return ["python3", "-c", "import time; time.sleep(60)", str(self.directory)]


def test_down_keeps_the_data_and_reset_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLQ_SERVICES_DIR", str(tmp_path))
    notebook = Notebook()
    try:
        notebook.up()
        notebook.down()
        assert notebook.version() is None
        notebook.up()
        assert notebook.version() == "2"
        notebook.reset()
        assert notebook.version() is None
        notebook.up()
        assert notebook.version() == "1"
    finally:
        notebook.reset()


@pytest.mark.skipif(not PGBOUNCER.version() or not POSTGRESQL.version(), reason="no PgBouncer: make services")
def test_pgbouncer_gives_one_session_to_two_clients_in_turn() -> None:
    url = PGBOUNCER.url.replace("postgres:", "postgresql:")
    with psycopg.connect(url, autocommit=True) as one, psycopg.connect(url, autocommit=True) as other:
        sessions = [client.execute("SELECT pg_backend_pid()").fetchone() for client in (one, other, one)]
    assert len(set(sessions)) == 1


@pytest.mark.skipif(not MARIADB.version(), reason="no MariaDB: make services")
def test_another_mariadb_that_starts_removes_no_temporary_table_of_this_one() -> None:
    assert MARIADB.sql("SELECT @@tmpdir") == str(MARIADB.directory / "tmp")


@pytest.mark.skipif(not can_be_wrong(), reason="no compiler: make services")
@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_wrong_clock_is_wrong_and_leaves_waiting_right(by: timedelta, tmp_path: Path) -> None:
    program = (
        "import time, threading; began = time.monotonic(); threading.Event().wait(0.2);"
        " print(time.time(), began, time.monotonic() - began)"
    )
    environment = os.environ | wrong_clock(by, tmp_path)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    said, began, waited = map(float, done.stdout.split())
    assert said == pytest.approx(time.time() + by.total_seconds(), abs=30)
    assert began == pytest.approx(time.monotonic(), abs=30)
    assert 0.2 <= waited < 5


@pytest.mark.kafka
@needs_kafka
def test_kafka_names_its_brokers() -> None:
    assert kafka_wire.brokers(KAFKA.host, KAFKA.port) == [(1, KAFKA.host, KAFKA.port)]


@pytest.mark.kafka
@needs_kafka
def test_kafka_console_tools_round_trip(tmp_path: Path) -> None:
    topic = f"services-{os.getpid()}-{tmp_path.stat().st_ino}"
    parsing = ["parse.headers=true", "headers.delimiter=|", "parse.key=true", "key.separator=|"]
    reader = [word for name in parsing for word in ("--reader-property", name)]
    console_producer(topic, b"h1:v1,h2:v2|key|value\n", *reader)
    formatter = ["--formatter-property", "print.headers=true", "--formatter-property", "print.key=true"]
    assert console_consumer(topic, "--max-messages", "1", *formatter) == b"h1:v1,h2:v2\tkey\tvalue\n"
