"""MockKafka: a cluster in this process, and one in a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Consumer, KafkaError, Producer

from django_dlq.testing import mock_kafka
from django_dlq.testing.mock_kafka import PRODUCE, MockKafka, MockKafkaMissing

pytestmark = pytest.mark.once


def produce(bootstrap: str, topic: str = "t") -> KafkaError | None:
    producer = Producer({"bootstrap.servers": bootstrap, "message.timeout.ms": 3000, "log_level": 0})
    errors: list[KafkaError | None] = []
    producer.produce(topic, b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(10)
    return errors[0]


def test_any_client_may_use_it() -> None:
    with MockKafka() as kafka:
        assert produce(kafka.bootstrap) is None
        consumer = Consumer({**kafka.options, "group.id": "g", "auto.offset.reset": "earliest"})
        consumer.subscribe(["t"])
        message = consumer.poll(20)
        assert message is not None
        assert message.value() == b"x"
        consumer.close()


def test_faults_are_given_in_order_and_can_be_forgotten() -> None:
    with MockKafka() as kafka:
        kafka.create_topic("t", partitions=1)
        kafka.fail_next(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
        error = produce(kafka.bootstrap)
        assert error is not None
        assert error.code() == KafkaError.MSG_SIZE_TOO_LARGE
        kafka.fail_next(PRODUCE, *[KafkaError.MSG_SIZE_TOO_LARGE] * 9)
        kafka.forget_failures(PRODUCE)
        assert produce(kafka.bootstrap) is None


def test_it_can_be_down_and_slow_and_lead_elsewhere() -> None:
    with MockKafka(brokers=2) as kafka:
        kafka.create_topic("t", partitions=1)
        kafka.down()
        assert produce(kafka.bootstrap) is not None
        kafka.up()
        kafka.delay(50)
        kafka.lead("t", 0, broker=2)
        assert produce(kafka.bootstrap) is None


def test_what_it_does_not_have_is_an_error() -> None:
    with MockKafka() as kafka:
        kafka.create_topic("t")
        with pytest.raises(ValueError, match="already exists"):
            kafka.create_topic("t")
        with pytest.raises(ValueError, match="refused"):
            kafka.lead("t", 99, broker=1)


def test_it_runs_only_inside_with() -> None:
    kafka = MockKafka()
    with pytest.raises(RuntimeError, match="with MockKafka"):
        _ = kafka.bootstrap
    with kafka:
        assert kafka.bootstrap
    with pytest.raises(RuntimeError, match="with MockKafka"):
        kafka.down()


def test_a_library_without_the_mock_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mock_kafka._FUNCTIONS, "mock_no_such_thing", (None, []))
    with pytest.raises(MockKafkaMissing, match="librdkafka"), MockKafka():
        pass


@contextmanager
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "django_dlq.testing.mock_kafka"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def test_a_process_of_its_own_ends_on_sigterm() -> None:
    with process() as running:
        assert running.stdout is not None
        assert produce(running.stdout.readline().strip()) is None
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0


def test_a_process_of_its_own_ends_with_its_parent() -> None:
    with process() as running:
        assert running.stdout is not None
        assert running.stdin is not None
        assert running.stdout.readline()
        running.stdin.close()
        assert running.wait(20) == 0
