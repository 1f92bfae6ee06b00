"""What must be there before Django starts: a folder, free ports, and Kafka."""

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from django_dlq.testing.mock_kafka import MockKafka
from example_project.topic import KafkaAway, Topic

FIRST_PORT, LAST_PORT = 8000, 8020
PARTITIONS = 4
ADMIN = ADMIN_PASSWORD = "admin"
"""Fixed, since the shop can be reached from this machine only."""

SLOW_LADDER, FAST_LADDER = "2 5 10", "1 1 2"
"""Seconds between attempts: long enough to watch, short enough to wait for."""


class CannotStart(Exception):
    """Something outside of the demo is missing, or in the way."""


@dataclass(kw_only=True)
class Stage:
    """Where everything is. As a context manager it hosts Kafka, which so ends with this process, however it ends."""

    once: bool
    kafka: str
    port: int
    logistics_port: int
    folder: Path
    topic_name: str
    _open: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read what the person asked for, and choose the rest."""
        once, kafka = environment.get("ONCE", "") not in {"", "0"}, environment.get("KAFKA", "")
        run = f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"
        return cls(
            once=once,
            kafka=kafka,
            port=_web_port(environment.get("PORT", ""), once=once),
            logistics_port=_any_port(),
            folder=Path(__file__).parent.parent / ".demo" / run,
            # In a real Kafka a topic of its own, so that the records of earlier runs do not matter.
            topic_name=f"{run}.orders" if kafka else "orders",
        )

    def __enter__(self) -> Self:
        if self.kafka:
            self._use_real_kafka()
        else:
            mock = self._open.enter_context(MockKafka())
            mock.create_topic(self.topic_name, PARTITIONS)
            self.kafka = mock.bootstrap
        self.folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def topic(self) -> Topic:
        """The topic that the shop's messages go to."""
        return Topic(self.kafka, self.topic_name)

    @property
    def address(self) -> str:
        """The shop's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def shipments(self) -> Path:
        """The log of the logistics service."""
        return self.folder / "logistics.log"

    def environment(self) -> dict[str, str]:
        """Return the variables that settings.py reads, here and in all processes of the demo."""
        return {
            "DJANGO_SETTINGS_MODULE": "example_project.settings",
            "DEMO_FOLDER": str(self.folder),
            "DEMO_TOPIC": self.topic_name,
            "DEMO_LADDER": FAST_LADDER if self.once else SLOW_LADDER,
            "KAFKA": self.kafka,
            "LOGISTICS_URL": f"http://127.0.0.1:{self.logistics_port}",
        }

    def _use_real_kafka(self) -> None:
        try:
            self._open.enter_context(self.topic.existing(PARTITIONS))
        except KafkaAway as error:
            raise CannotStart(f"Kafka at {self.kafka} does not answer: {error}") from error


def _web_port(wanted: str, *, once: bool) -> int:
    if wanted:
        if not wanted.isdigit() or not _is_free(int(wanted)):
            raise CannotStart(f"port {wanted} cannot be used; perhaps something runs there. Try another: PORT=8001")
        return int(wanted)
    if once:
        return _any_port()
    for port in range(FIRST_PORT, LAST_PORT + 1):
        if _is_free(port):
            return port
    raise CannotStart(f"the ports {FIRST_PORT} to {LAST_PORT} are all taken; name a free one: PORT=9000")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def _any_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port
