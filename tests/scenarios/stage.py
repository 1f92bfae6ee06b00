"""A stage: a topic and a consumer group of its own, and the processes that work on them."""

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from django.db import connection, transaction

from django_dlq import outbox
from django_dlq.models import DatabaseNow, OutboxMessage, RelayLane, RelayProcess
from tests.scenarios.starting import Child, Nursery, spawn
from tests.services.process import wait_for
from tests.shop.models import Box, Order

SECONDS = 90.0  # many times what anything takes on a machine that is not busy
QUIET = {"enable.auto.commit": False, "log_level": 0}


class Actor:
    """A process of ours, with its output in a file."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes] | Child", log: Path) -> None:
        self.name, self.process, self.log = name, process, log

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def was_killed(self) -> bool:
        """Wait for its end, and tell whether it was killed before it had done its work."""
        status = self.process.wait(SECONDS)
        assert status in (0, -signal.SIGKILL), self
        return status != 0

    def stop(self) -> None:
        """Ask it to finish, as an operator does."""
        self.process.terminate()
        self.process.wait(SECONDS)

    @property
    def is_frozen(self) -> bool:
        """Whether it was stopped as by SIGSTOP, and not continued."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def freeze(self) -> None:
        """Stop it where it is, as SIGSTOP does, or a machine that hangs."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, as if nothing had been."""
        self.process.send_signal(signal.SIGCONT)

    def has_said(self, words: str) -> bool:
        """Tell whether its output has these words."""
        return words in self.log.read_text()

    def kill(self) -> None:
        """End it, unless it has ended."""
        self.process.kill()
        self.process.wait(SECONDS)

    def __str__(self) -> str:
        return f"--- {self.name}: status {self.process.poll()}, said\n{self.log.read_text()[-3000:]}"


class Stage:
    """Start processes on one topic of one Kafka and on the database of this test, and look at what they did."""

    def __init__(self, kafka: str, directory: Path, *, lease: float = 30, partitions: int = 4) -> None:
        self.kafka, self.directory, self.lease = kafka, directory, lease
        name = uuid.uuid4().hex[:12]
        self.topic, self.group = f"orders-{name}", f"shipping-{name}"
        self.actors: list[Actor] = []
        admin = AdminClient({"bootstrap.servers": kafka})
        admin.create_topics([NewTopic(self.topic, partitions, 1)])[self.topic].result(SECONDS)
        self._consumer = Consumer({"bootstrap.servers": kafka, "group.id": self.group, **QUIET})
        self.partitions = [TopicPartition(self.topic, number, 0) for number in range(partitions)]

    def close(self) -> None:
        """End every process."""
        for actor in self.actors:
            actor.kill()
        if "nursery" in self.__dict__:
            self.nursery.close()
        self._consumer.close()

    @cached_property
    def nursery(self) -> Nursery:
        """What starts processes at once, in the environment as it was when the first of them was started."""
        return Nursery(self._environment(), self.directory)

    def start(self, module: str, *arguments: str, **variables: str) -> Actor:
        """Start a module with these arguments, and these variables in its environment."""
        log = self.directory / f"{len(self.actors)}.log"
        process: subprocess.Popen[bytes] | Child
        if variables:
            process = spawn(module, *arguments, environment=self._environment() | variables, log=log)
        else:
            process = self.nursery.bear(module, *arguments, log=log)
        self.actors.append(actor := Actor(" ".join([module, *arguments]), process, log))
        return actor

    def manage(self, *command: str, **variables: str) -> Actor:
        """Start a management command."""
        return self.start("django", *command, **variables)

    def manage_until_act(self, number: int, *command: str) -> Actor:
        """Start a management command that is killed before its N-th act, as dying.py explains."""
        return self.start("tests.scenarios.dying", str(number), *command)

    def manage_until_frozen(self, act: str, *command: str, **variables: str) -> Actor:
        """Start a management command that stops before the first act of this name, until somebody continues it."""
        return self.start("tests.scenarios.dying", act, *command, **variables)

    @contextmanager
    def running(self, *commands: str) -> Iterator[None]:
        """Run management commands, and expect of each that it is alive until it is asked to end."""
        actors = [self.manage(*command.split()) for command in commands]
        yield
        for actor in actors:
            actor.stop()
            # The latter if it was asked before it could listen.
            assert actor.process.returncode in (0, -signal.SIGTERM), actor

    def publish(self, *orders: str, key: str = "k", **options: Any) -> None:
        """Take orders and publish them, in one transaction."""
        with transaction.atomic():
            for order in orders:
                Order.objects.create(number=order)
                outbox.publish(self.topic, {"order": order}, key=key, message_key=order, **options)

    def until(self, condition: Callable[[], bool], *, seconds: float = SECONDS) -> None:
        """Wait for a condition, or fail with all that the processes said."""
        assert wait_for(condition, seconds=seconds), "\n".join(["it did not come to that", *map(str, self.actors)])

    def outbox_is_empty(self) -> bool:
        """Tell whether the relay has done its work."""
        return not OutboxMessage.objects.exists()

    def boxes(self) -> int:
        """Count the effects so far."""
        return Box.objects.count()

    def lease_is_free(self) -> bool:
        """Tell whether a relay could begin at once."""
        # One that died counts as alive, and so has its share, until its time has run out.
        leased = RelayLane.objects.filter(leased_until__gt=DatabaseNow())
        return not leased.exists() and not RelayProcess.objects.alive().exists()

    def let_leases_run_out(self) -> None:
        """Let the time of all relays be over, as it is some time after they have died."""
        RelayLane.objects.update(leased_until=DatabaseNow())
        RelayProcess.objects.update(alive_until=DatabaseNow())
        assert self.lease_is_free()

    def is_consumed(self) -> bool:
        """Tell whether the group's offsets are at the ends of the topic."""
        committed = self._consumer.committed(self.partitions, timeout=SECONDS)
        return {place.partition: max(place.offset, 0) for place in committed} == self._ends()

    def members(self) -> int:
        """Count the members of the group that have partitions."""
        admin = AdminClient({"bootstrap.servers": self.kafka, "log_level": 0})
        members = admin.describe_consumer_groups([self.group])[self.group].result(SECONDS).members
        return sum(bool(member.assignment and member.assignment.topic_partitions) for member in members)

    def messages(self) -> list[Message]:
        """Read the whole topic, as somebody who knows nothing of us would."""
        ends = sum(self._ends().values())
        reader = Consumer({"bootstrap.servers": self.kafka, "group.id": "-", **QUIET})
        reader.assign(self.partitions)
        found: list[Message] = []
        deadline = time.monotonic() + SECONDS
        while len(found) < ends:
            assert time.monotonic() < deadline, f"{len(found)} of {ends} messages in {SECONDS} s"
            found += [message for message in reader.consume(500, 0.2) if message.error() is None]
        reader.close()
        return sorted(found, key=lambda message: (message.partition() or 0, message.offset() or 0))

    def _ends(self) -> dict[int, int]:
        limits = {place.partition: self._consumer.get_watermark_offsets(place, SECONDS) for place in self.partitions}
        return {partition: limit[1] for partition, limit in limits.items() if limit}

    def _environment(self) -> dict[str, str]:
        given = ("NAME", "USER", "HOST", "PORT", "DISABLE_SERVER_SIDE_CURSORS")
        database = {name: connection.settings_dict[name] for name in given if name in connection.settings_dict}
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.scenarios.settings",
            "SCENARIO_DATABASE": json.dumps(database),
            "SCENARIO_KAFKA": self.kafka,
            "SCENARIO_TOPIC": self.topic,
            "SCENARIO_GROUP": self.group,
            "SCENARIO_LEASE": str(self.lease),
        }


class Doomed:
    """A process that is fated to be killed, unless it ends before its act comes."""

    def __init__(self, actor: Actor, journal: Path) -> None:
        self.actor, self.journal = actor, journal

    @property
    def acts(self) -> list[str]:
        """What it did, and at last what it was about to do."""
        return self.journal.read_text().splitlines() if self.journal.exists() else []


def order_of(message: Message) -> str:
    """Return the order that a message is about."""
    body: Any = json.loads(message.value() or b"")
    return str(body["order"])


def once_each(messages: Sequence[Message]) -> list[Message]:
    """Drop repeats of the same id."""
    first: dict[bytes, Message] = {}
    for message in messages:
        first.setdefault(dict(message.headers() or [])["id"], message)
    return list(first.values())


def nobody_is_at_work() -> bool:
    """Tell whether no other session is in the middle of something in this database; only PostgreSQL is asked."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle')"
        )
        return bool(cursor.fetchone()[0])
