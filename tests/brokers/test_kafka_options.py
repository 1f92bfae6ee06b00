"""What KafkaBroker makes of OPTIONS, and what it says about mistakes in them."""

import importlib
import logging
import sys

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from django_dlq.brokers import kafka_options
from django_dlq.brokers.kafka import KafkaBroker
from django_dlq.brokers.kafka_client import logger
from django_dlq.exceptions import HeldBack, MessageRefused
from django_dlq.message import Record
from django_dlq.testing.broker_bench import Bench
from tests.brokers.test_kafka import REAL_KAFKA

pytestmark = pytest.mark.once

SERVERS = {"bootstrap.servers": "127.0.0.1:1"}


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (SERVERS, []),
        ({"metadata.broker.list": "127.0.0.1:1", "enable.idempotence": "true", "auto.offset.reset": "smallest"}, []),
        ({**SERVERS, "compression.type": "zstd", "fetch.min.bytes": 1, "enable.auto.commit": "0"}, []),
        ({}, ["E101"]),
        ({"bootstrap.servers": ""}, ["E101"]),
        ({**SERVERS, "enable.idempotence": False}, ["E102"]),
        ({**SERVERS, "enable.auto.commit": "1"}, ["E102"]),
        ({**SERVERS, "enable.auto.offset.store": True}, ["E102"]),
        ({**SERVERS, "auto.offset.reset": "latest"}, ["E102"]),
        ({**SERVERS, "transactional.id": "x"}, ["E102"]),
        ({**SERVERS, "message.timeout.ms": 1000}, ["E102"]),
        ({**SERVERS, "group.id": "x"}, ["E102"]),
        ({**SERVERS, "acks": 1}, ["E103"]),
        ({**SERVERS, "bootstrap.server": "x"}, ["E103"]),
        ({**SERVERS, "session.timeout.ms": "soon"}, ["E103"]),
    ],
)
def test_mistakes_in_options_are_named(options: dict[str, object], ids: list[str]) -> None:
    assert [message.id for message in KafkaBroker.check("default", options)] == [f"django_dlq.{id_}" for id_ in ids]


def test_options_win_over_defaults_but_not_over_promises() -> None:
    options = {"partitioner": "consistent", "enable.idempotence": False, "transactional.id": "x", "group.id": "x"}
    producer = kafka_options.producer_settings(options, timeout=1.0)
    assert (producer["partitioner"], producer["enable.idempotence"]) == ("consistent", True)
    assert "transactional.id" not in producer
    assert kafka_options.consumer_settings(options, group="g")["group.id"] == "g"


def test_a_missing_topic_is_known_as_such_before_the_time_is_up() -> None:
    for timeout in (0.5, 3.0, 60.0):
        patience = kafka_options.producer_settings({}, timeout=timeout)["topic.metadata.propagation.max.ms"]
        assert patience <= timeout * 1000 / 2


def test_options_that_were_never_checked_fail_loudly() -> None:
    with pytest.raises(KafkaException, match=r"no\.such\.option"):
        KafkaBroker("default", {**SERVERS, "no.such.option": 1}).send([Record(topic="t")], 1.0)


def test_without_the_driver_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    monkeypatch.delitem(sys.modules, "django_dlq.brokers.kafka_client")
    with pytest.raises(ImportError, match=r'pip install "django_dlq\[kafka\]"'):
        importlib.import_module("django_dlq.brokers.kafka_client")


def test_the_log_says_only_what_is_new(caplog: pytest.LogCaptureFixture) -> None:
    for text in ("Configuration property x will be ignored by this consumer", "FAIL a", "FAIL b", "something else"):
        logger.warning(text)
    assert [line.getMessage() for line in caplog.records if line.name == "django_dlq.kafka"][-1] == "something else"
    assert len([line for line in caplog.records if line.levelno == logging.WARNING]) <= 2


@pytest.mark.kafka
@pytest.mark.skipif(not REAL_KAFKA, reason="DLQ_TEST_KAFKA does not name a real Kafka (host:port)")
class TestRealRefusals:
    def test_only_the_record_that_is_too_large_for_its_topic_is_refused(self) -> None:
        assert REAL_KAFKA is not None
        bench = Bench(KafkaBroker("default", {"bootstrap.servers": REAL_KAFKA}))
        admin = AdminClient({"bootstrap.servers": REAL_KAFKA})
        topic = NewTopic(bench.topic, num_partitions=2, config={"max.message.bytes": "2000"})
        admin.create_topics([topic])[bench.topic].result(20)
        # Together they are too large as well: each batch is rejected, though only one record deserves it.
        small = [bench.record(b"%d" % number, key=b"%d" % (number % 3)) for number in range(300)]
        receipts = bench.broker.send([*small[:150], bench.record(b"x" * 5000, key=b"1"), *small[150:]], 20)
        assert isinstance(receipts.pop(150).error, MessageRefused)
        held = [record for record in small[150:] if record.key == b"1"]
        assert [record for record, receipt in zip(small, receipts, strict=True) if receipt.error is not None] == held
        assert {type(receipt.error) for receipt in receipts} == {type(None), HeldBack}
        bench.send(*held)
        by_key: dict[bytes | None, list[int]] = {}
        for record in bench.read(300):
            by_key.setdefault(record.key, []).append(int(record.body or b""))
        assert by_key == {b"%d" % key: list(range(key, 300, 3)) for key in range(3)}
        bench.close()

    @pytest.mark.parametrize("topic", ["not a topic", "slash/ed", "x" * 250, ""])
    def test_an_impossible_topic_is_refused(self, topic: str) -> None:
        broker = KafkaBroker("default", {"bootstrap.servers": REAL_KAFKA})
        [receipt] = broker.send([Record(topic=topic, body=b"x")], 6)
        assert isinstance(receipt.error, MessageRefused)
