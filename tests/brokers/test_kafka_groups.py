"""Members of Kafka groups when Kafka fails, and records that others have sent."""

import logging
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, Producer

from django_dlq.brokers import kafka_commits
from django_dlq.brokers.kafka import KafkaBroker
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.message import Record
from django_dlq.testing.broker_bench import Bench, bodies, poll, until
from django_dlq.testing.mock_kafka import FETCH, HEARTBEAT, OFFSET_COMMIT, MockKafka

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockKafka]:
    with MockKafka(brokers=1) as cluster:
        yield cluster


@pytest.fixture
def kafka(cluster: MockKafka) -> Iterator[MockKafka]:
    yield cluster
    cluster.up()
    for api in (FETCH, HEARTBEAT, OFFSET_COMMIT):
        cluster.forget_failures(api)


@pytest.fixture
def bench(kafka: MockKafka) -> Iterator[Bench]:
    bench = Bench(KafkaBroker("default", kafka.options))
    kafka.create_topic(bench.topic)
    yield bench
    bench.close()
    bench.broker.close()


def test_a_commit_waits_while_partitions_are_handed_out(kafka: MockKafka, bench: Bench) -> None:
    bench.send(*bench.numbered(*range(5)))
    first = bench.join()
    received = bench.receive(first, 5)
    kafka.fail_next(OFFSET_COMMIT, *[KafkaError.REBALANCE_IN_PROGRESS] * 3)
    first.commit(received)
    first.close()
    bench.send(bench.record(b"new"))
    assert bodies(bench.receive(bench.join(), 1)) == [b"new"]


def test_what_a_rebalance_kept_from_being_committed_is_committed_before_the_next_poll(
    kafka: MockKafka, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_commits, "REBALANCE_SECONDS", 0.0)
    bench.send(*bench.numbered(*range(5)))
    first = bench.join()
    received = bench.receive(first, 5)
    kafka.fail_next(OFFSET_COMMIT, KafkaError.REBALANCE_IN_PROGRESS)
    first.commit(received)
    assert not poll(first, 0.1)  # nothing new comes, and yet it is committed
    first.close()
    bench.send(bench.record(b"new"))
    assert bodies(bench.receive(bench.join(), 1)) == [b"new"]


def test_what_a_new_epoch_of_the_member_kept_from_being_committed_is_committed_if_the_partition_stays(
    kafka: MockKafka, bench: Bench
) -> None:
    bench.send(*bench.numbered(*range(5)))
    first = bench.join()
    received = bench.receive(first, 5)
    kafka.fail_next(OFFSET_COMMIT, KafkaError.STALE_MEMBER_EPOCH)
    first.commit(received)
    poll(first, 0.1)  # nothing new comes, and yet it is committed
    first.close()
    bench.send(bench.record(b"new"))
    assert bodies(bench.receive(bench.join(), 1)) == [b"new"]


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION])
def test_a_commit_after_losing_the_partitions_is_ignored(kafka: MockKafka, bench: Bench, code: int) -> None:
    bench.send(*bench.numbered(*range(5)))
    member = bench.join()
    received = bench.receive(member, 5)
    kafka.fail_next(OFFSET_COMMIT, code)
    member.commit(received)
    again: set[bytes | None] = set()
    bench.join("other")
    member.close()
    until(lambda: len(again) == 5, doing=lambda: again.update(bodies(poll(member, 0.5))))


def test_a_commit_that_may_not_be_made_is_an_outage(kafka: MockKafka, bench: Bench) -> None:
    bench.send(bench.record(b"x"))
    member = bench.join()
    received = bench.receive(member, 1)
    kafka.fail_next(OFFSET_COMMIT, KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(BrokerUnavailable):
        member.commit(received)
    member.commit(received)


def test_commits_of_nothing_and_of_what_was_never_received_are_ignored(bench: Bench) -> None:
    bench.send(bench.record(b"x"))
    member = bench.join()
    member.commit([])
    [record] = bench.receive(member, 1)
    member.commit([Record(topic="another", partition=0, offset=9)])
    member.close()
    member.commit([record])
    assert bodies(bench.receive(member, 1)) == [b"x"]


def test_a_member_that_was_fenced_says_so_and_joins_anew(kafka: MockKafka, bench: Bench) -> None:
    bench.send(bench.record(b"x"))
    member = bench.join()
    bench.receive(member, 1)
    kafka.fail_next(HEARTBEAT, KafkaError.FENCED_INSTANCE_ID)
    with pytest.raises(BrokerUnavailable):
        until(lambda: False, doing=lambda: member.poll(10, 0.5))
    assert bodies(bench.receive(member, 1)) == [b"x"]


def test_a_member_that_was_too_slow_gets_its_records_again(bench: Bench) -> None:
    bench.send(bench.record(b"x"))
    bench.broker.options["max.poll.interval.ms"] = 1600
    member = bench.join()
    bench.receive(member, 1)
    time.sleep(3)  # nothing is awaited here: it is the slowness
    assert bodies(bench.receive(member, 1)) == [b"x"]


def test_an_outage_is_told_when_there_is_nothing_else(kafka: MockKafka, bench: Bench) -> None:
    bench.send(bench.record(b"x"))
    member = bench.join()
    bench.receive(member, 1)
    kafka.down()
    with pytest.raises(BrokerUnavailable):
        until(lambda: False, doing=lambda: member.poll(10, 0.5))


def test_a_topic_that_does_not_exist_yet_is_awaited(
    kafka: MockKafka, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.fail_topic(bench.topic, KafkaError.UNKNOWN_TOPIC_OR_PART)
    bench.broker.options["topic.metadata.refresh.interval.ms"] = 500
    member = bench.join()
    with caplog.at_level(logging.WARNING, "django_dlq.kafka"):
        for _ in range(3):
            assert member.poll(10, 1.0) == []
    assert [line.getMessage() for line in caplog.records if bench.topic in line.getMessage()] != []
    assert len([line for line in caplog.records if "awaited" in line.getMessage()]) == 1
    kafka.fail_topic(bench.topic, 0)
    until(lambda: bench.broker.send([bench.record(b"x")], 4)[0].error is None, doing=lambda: None)
    assert bodies(bench.receive(member, 1)) == [b"x"]


def test_a_topic_that_may_not_be_read_is_an_outage(kafka: MockKafka, bench: Bench) -> None:
    kafka.fail_topic(bench.topic, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    member = bench.join()
    with pytest.raises(BrokerUnavailable, match="authorization"):
        until(lambda: False, doing=lambda: member.poll(10, 1.0))
    kafka.fail_topic(bench.topic, 0)


@pytest.mark.parametrize("milliseconds", [1, 253_402_300_800_000, 2**62])
def test_any_timestamp_of_another_producer_is_borne(kafka: MockKafka, bench: Bench, milliseconds: int) -> None:
    other = Producer({"bootstrap.servers": kafka.bootstrap})
    other.produce(bench.topic, b"x", timestamp=milliseconds)
    other.flush(10)
    [record] = bench.read(1)
    assert (record.timestamp is None) == (milliseconds > 1)


def test_a_key_has_the_partition_that_java_gives_it(bench: Bench) -> None:
    # Utils.toPositive(Utils.murmur2(key)) % 4, from Apache Kafka's own UtilsTest.
    murmur2 = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    for key, number in murmur2.items():
        [receipt] = bench.send(bench.record(b"x", key=key))
        assert receipt.partition == (number & 0x7FFFFFFF) % 4
