"""Debezium takes the relay's place: the real connector, on what `dlq_debezium` prints."""

import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message as Arrived
from confluent_kafka.admin import AdminClient
from django.core.management import call_command
from django.db import connection, transaction
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from django_dlq import inbox, outbox
from django_dlq.consumer import Consumer
from django_dlq.debezium import as_relayed
from django_dlq.message import ID, ReceivedMessage, Record, new_message_id
from django_dlq.models import OutboxMessage
from django_dlq.models.replication_slot import slots_in_order
from django_dlq.outbox_pruning import prune_outbox
from django_dlq.registry import Registry
from django_dlq.relay import Relay
from tests.scenarios.private_services import private, private_database
from tests.scenarios.stage import Stage
from tests.scenarios.world import until
from tests.services.connect import DEBEZIUM, Connect
from tests.services.postgresql import Postgresql
from tests.services.process import wait_for
from tests.shop.models import Box

pytestmark = pytest.mark.kafka

WEIRD = [("trace", "a"), ("trace", b"\x00\xff"), ("ü", '"€\\"'), ("none", None), ("empty", "")]
SECONDS = 30.0
KEYS = 30
DAY = timedelta(days=1)
Copies = list[tuple[OutboxMessage, Arrived, Arrived]]
READ = "SELECT confirmed_flush_lsn >= %s FROM pg_replication_slots"


class Way:
    """The connector, and the topic to which it sends."""

    def __init__(self, connect: Connect, stage: Stage, configuration: dict[str, Any]) -> None:
        self.connect, self.stage, self.name = connect, stage, configuration["name"]
        connect.ask("connectors", configuration)

    def brings(self, number: int) -> list[Arrived]:
        """Wait until so many messages are in the topic, and return them all."""
        assert wait_for(lambda: len(self.stage.messages()) >= number, seconds=SECONDS), self.connect.log_tail()
        return self.stage.messages()

    def stop(self) -> None:
        """Let the connector go, and its slot."""
        self.connect.ask(f"connectors/{self.name}/stop", method="PUT")
        assert wait_for(lambda: self._holds_slot() is False, seconds=SECONDS)

    def go_on(self) -> None:
        """Let the connector read on."""
        self.connect.ask(f"connectors/{self.name}/resume", method="PUT")
        assert wait_for(lambda: self._holds_slot() is True, seconds=SECONDS)

    def drop_slot(self) -> None:
        """Lose the place in the log, as after too long an outage."""
        ask("SELECT pg_drop_replication_slot(%s)", self.name)

    def _holds_slot(self) -> Any:
        return ask("SELECT bool_or(active) FROM pg_replication_slots")


def ask(statement: str, *values: object) -> Any:
    """Run one statement, and return the first value that it finds."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return row and row[0]


@pytest.fixture(scope="module")
def real_kafka() -> str:
    address = os.environ.get("DLQ_TEST_KAFKA")
    if not address or not DEBEZIUM.version():
        pytest.skip("no real Kafka, or no Debezium: `make services` brings them")
    return address


@pytest.fixture(scope="module")
def way(real_kafka: str, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker) -> Iterator[Way]:
    """Run the connector on a project of its own."""
    brokers = {"BACKEND": "django_dlq.brokers.kafka.KafkaBroker", "OPTIONS": {"bootstrap.servers": real_kafka}}
    directory = tmp_path_factory.mktemp("debezium")
    with (
        django_db_blocker.unblock(),
        private_database(Postgresql, user="postgres"),
        private(Connect) as connect,
        override_settings(DLQ_BROKERS={"default": brokers}),
        closing(Stage(real_kafka, directory)) as stage,
    ):
        with connection.cursor() as cursor:
            cursor.execute(printed("sql"))
        publish_all(stage.topic)
        yield Way(connect, stage, with_password(json.loads(printed("json")), directory))


@pytest.fixture(scope="module")
def copies(way: Way) -> Copies:
    """Return each row with its message from Debezium and its message from the relay.

    Half of them were written before the connector began, which reads them from the table, half after, from the log.
    """
    half = OutboxMessage.objects.count()
    way.brings(half)
    publish_all(way.stage.topic)
    rows = list(OutboxMessage.objects.order_by("pk"))
    ours = by_id(way.brings(2 * half))
    places = {(message.partition(), message.offset()) for message in ours.values()}
    with closing(Relay()) as relay:
        until(lambda: not OutboxMessage.objects.exists(), meanwhile=relay.run_once)
    relayed = by_id([each for each in way.stage.messages() if (each.partition(), each.offset()) not in places])
    assert len(rows) == len(ours) == len(relayed) == 2 * half
    return [(row, ours[row.message_id], relayed[row.message_id]) for row in rows]


def printed(form: str) -> str:
    """Return what dlq_debezium prints."""
    out = io.StringIO()
    call_command("dlq_debezium", format=form, stdout=out)
    return out.getvalue()


def with_password(printed: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Put the password's file elsewhere, and let signs of life come sooner; nothing else."""
    file = directory / "dlq.properties"
    file.write_text("password=secret\n")
    config = printed["config"]
    password = config["database.password"].replace("/etc/kafka-connect/dlq.properties", str(file))
    return {**printed, "config": {**config, "database.password": password, "heartbeat.interval.ms": "500"}}


def publish_all(topic: str) -> None:
    """Write one message of every kind."""
    with transaction.atomic():
        for number in range(3):
            outbox.publish(topic, {"order": number}, key="k", tag="paid", headers=WEIRD, expires_in=DAY)
        outbox.publish(topic, b"", key="empty")
        outbox.publish(topic, b"\x00\xff" * 100_000, key="ü€", headers={"content-type": "image/png"})
        outbox.publish(topic, '{"id": 7}', message_key="order 7 €")
        outbox.publish_many([outbox.Message(topic, {"n": n}, key=f"key-{n}") for n in range(KEYS)])
        # What only a replay can be.
        for columns in ({"body": None, "key": "gone"}, {"body": b"x", "key": "\\xff", "raw_key": b"\xff"}):
            message_id = new_message_id()
            again = {"group": "billing", "letter_id": 2**62, "message_id": message_id, "message_key": message_id}
            OutboxMessage.objects.create(topic=topic, **again, **columns)


def by_id(messages: Sequence[Arrived]) -> dict[str, Arrived]:
    return {dict(message.headers() or [])[ID].decode(): message for message in messages}


def received(message: Arrived) -> Record:
    """Return a message as the broker's client gives it, without its place."""
    headers: Any = tuple(message.headers() or ())
    return Record(topic=message.topic() or "", key=message.key(), body=message.value(), headers=headers)


def test_a_message_has_the_same_key_body_and_id_as_from_the_relay(copies: Copies) -> None:
    for row, ours, relayed in copies:
        assert ours.value() == relayed.value() == row.body_bytes
        assert dict(ours.headers() or [])[ID] == dict(relayed.headers() or [])[ID] == row.message_id.encode()
        if row.raw_key is None:
            assert ours.key() == relayed.key() == row.key_bytes
    bodies = [row.body_bytes for row, _, _ in copies]
    assert bodies.count(None) == bodies.count(b"") == 2


def test_a_key_has_the_same_partition_and_order_as_from_the_relay(copies: Copies) -> None:
    keyed = [(ours, relayed) for row, ours, relayed in copies if row.key is not None and row.raw_key is None]
    assert [ours.partition() for ours, _ in keyed] == [relayed.partition() for _, relayed in keyed]
    assert len({ours.partition() for ours, _ in keyed}) == 4
    offsets = [ours.offset() for row, ours, _ in copies if row.key == "k"]
    assert offsets == sorted(offsets)


def test_a_handler_sees_the_same_message_as_from_the_relay(copies: Copies) -> None:
    for row, ours, relayed in copies:
        record = as_relayed(received(ours))
        assert record == received(relayed) == row.record()
        assert ReceivedMessage.of(record, "g") == ReceivedMessage.of(received(relayed), "g")


def test_the_inbox_takes_both_copies_for_one_message(way: Way, copies: Copies, registry: Registry) -> None:
    Box.objects.all().delete()

    def pack(message: ReceivedMessage) -> None:
        Box.objects.create(order=message.message_key)

    inbox.handler(way.stage.topic, group=way.stage.group)(pack)
    with closing(Consumer(way.stage.group)) as consumer:
        until(way.stage.is_consumed, meanwhile=consumer.run_once)
    packed = list(Box.objects.values_list("order", flat=True))
    for row, _, _ in copies:
        # A replay is for its own group only.
        assert packed.count(row.message_key) == (0 if row.group else 1)


def test_rows_that_were_sent_are_pruned_and_that_is_no_message(way: Way, copies: Copies) -> None:
    before = len(way.stage.messages())
    publish_one(way.stage.topic)
    way.brings(before + 1)
    assert wait_for(lambda: pruned() == 1, seconds=SECONDS)
    publish_one(way.stage.topic)
    assert len(way.brings(before + 2)) == before + 2
    OutboxMessage.objects.all().delete()


def test_an_idle_outbox_does_not_hold_the_log_that_other_tables_fill(way: Way, copies: Copies) -> None:
    Box.objects.bulk_create([Box(order="another table") for _ in range(1000)])
    position = ask("SELECT pg_current_wal_lsn()")
    assert wait_for(lambda: ask(READ, position) is True, seconds=SECONDS)
    # Signs of life are for PostgreSQL, and no messages that somebody would have to read.
    admin = AdminClient({"bootstrap.servers": way.stage.kafka})
    assert f"{way.name}.message" not in admin.list_topics(timeout=SECONDS).topics


def test_a_lost_place_in_the_log_loses_no_message(way: Way, copies: Copies) -> None:
    way.stop()
    row = publish_one(way.stage.topic)
    # While the connector is away, and when its place is lost.
    assert pruned() == 0
    way.drop_slot()
    assert slots_in_order("default") == {}
    assert pruned() == 0
    way.go_on()
    assert slots_in_order("default").keys() == {way.name}
    assert wait_for(lambda: row.message_id in by_id(way.stage.messages()), seconds=SECONDS), way.connect.log_tail()
    OutboxMessage.objects.all().delete()


def pruned() -> int:
    """Prune, as if every row were old; an UPDATE that made them so would count as unread."""
    # So that the connector may know which transactions have ended; PostgreSQL tells it every 15 seconds at most.
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")
    with override_settings(DLQ_OUTBOX_RETENTION=timedelta(microseconds=1)):
        return prune_outbox(1000)


def publish_one(topic: str) -> OutboxMessage:
    with transaction.atomic():
        return outbox.publish(topic, "one more", key="k")
