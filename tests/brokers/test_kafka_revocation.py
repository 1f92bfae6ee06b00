"""Partitions that are taken away, and given back, between the records of one poll and the commit of them."""

import threading
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, KafkaError, Message

from django_dlq.brokers import kafka_subscription
from django_dlq.brokers.kafka import KafkaBroker
from django_dlq.brokers.kafka_subscription import KafkaSubscription
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.message import Place, Record
from django_dlq.testing.broker_bench import Bench, poll, until
from django_dlq.testing.mock_kafka import MockKafka
from tests.brokers.kafka_driver import MINE, Arrival, Driver
from tests.threads import in_thread

pytestmark = pytest.mark.once


def lose(member: KafkaSubscription, driver: Driver, partition: int) -> None:
    member._forget(driver, [MINE[partition]])  # type: ignore[arg-type]  # the driver's words
    driver.assigned = [place for place in driver.assigned if place.partition != partition]


def give_next(monkeypatch: pytest.MonkeyPatch, *arrivals: Arrival) -> None:
    """Let the driver that a member makes next have these arrive."""
    other = Driver()
    other.arrivals = list(arrivals)
    other.subscribe = lambda topics, **callbacks: None  # type: ignore[attr-defined]
    monkeypatch.setattr(kafka_subscription, "Consumer", lambda *settings, **options: other)


def bodies(records: list[Record]) -> list[bytes | None]:
    return [record.body for record in records]


def test_what_was_taken_before_its_partition_was_revoked_in_the_same_poll_is_dropped(
    member: KafkaSubscription, driver: Driver
) -> None:
    driver.arrivals = [Arrival(0, b"stray", 601), Arrival(1, b"mine"), Arrival(0, b"stray too", 602)]
    driver.meanwhile = lambda: lose(member, driver, 0)
    assert bodies(member.poll(10, 0)) == [b"mine"]
    assert set(member.revoked()) == {("orders", 0)}


def test_what_comes_late_of_a_partition_that_was_revoked_is_dropped(member: KafkaSubscription, driver: Driver) -> None:
    lose(member, driver, 0)
    driver.arrivals = [Arrival(0, b"stray", 601), Arrival(1, b"mine")]
    assert bodies(member.poll(10, 0)) == [b"mine"]


def test_a_stray_record_cannot_be_committed(member: KafkaSubscription, driver: Driver) -> None:
    driver.arrivals = [Arrival(0, b"600", 600)]
    [before] = member.poll(10, 0)
    lose(member, driver, 0)
    member.commit([before])
    assert driver.committed == []

    driver.assigned = list(MINE)
    driver.arrivals = [Arrival(0, b"0", 0), Arrival(0, b"1", 1)]
    first, second = member.poll(10, 0)
    member.commit([before])  # what has come since the partition is back does not go so far
    assert driver.committed == []
    member.commit([first, second])
    assert driver.committed == [(0, 2)]


def test_when_a_partition_went_and_came_back_in_one_poll_the_member_begins_anew(
    member: KafkaSubscription, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_next(monkeypatch, Arrival(0, b"0", 0))
    driver.arrivals = [Arrival(0, b"stray or not", 601), Arrival(1, b"mine")]

    def go_and_come() -> None:
        lose(member, driver, 0)
        driver.assigned = list(MINE)

    driver.meanwhile = go_and_come
    assert member.poll(10, 0) == []
    assert bodies(member.poll(10, 0)) == [b"0"]
    assert driver.calls[-1] == "close"
    assert ("orders", 0) in member.revoked()


def test_what_comes_behind_a_fatal_error_in_one_poll_comes_again_and_the_error_is_told(
    member: KafkaSubscription, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_next(monkeypatch, Arrival(0, b"0", 0))
    driver.arrivals = [Arrival(0, b"", error=KafkaError(KafkaError._FATAL, "fenced")), Arrival(0, b"0", 0)]
    with pytest.raises(BrokerUnavailable, match="fenced"):
        member.poll(10, 0)
    assert bodies(member.poll(10, 0)) == [b"0"]
    assert driver.calls[-1] == "close"


def test_what_a_closed_driver_loses_is_not_the_next_ones_loss(member: KafkaSubscription, driver: Driver) -> None:
    driver.arrivals = [Arrival(0, b"0", 0)]
    [record] = member.poll(10, 0)
    member._forget(Driver(), MINE)  # type: ignore[arg-type]  # the driver's words
    member.commit([record])
    assert member.revoked() == []
    assert driver.committed == [(0, 1)]


class Sleepy(Consumer):
    """A driver whose process is not scheduled for a while after each first message."""

    nap = 0.0

    def poll(self, timeout: float) -> Message | None:  # type: ignore[override]  # as it is called here
        message = super().poll(timeout)
        time.sleep(self.nap)
        return message


@pytest.fixture
def bench() -> Iterator[Bench]:
    with MockKafka(brokers=1) as kafka:
        # With this strategy a rebalance revokes all partitions, and so the one from which records are coming.
        eager = {"partition.assignment.strategy": "range"}
        quick = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200} | eager
        bench = Bench(KafkaBroker("default", kafka.options | quick))
        kafka.create_topic(bench.topic)
        yield bench
        bench.close()
        bench.broker.close()


def test_the_next_owner_begins_at_what_was_committed_though_the_rebalance_came_between_two_records_of_a_poll(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.send(*bench.numbered(*range(8000)))
    monkeypatch.setattr(kafka_subscription, "Consumer", Sleepy)
    first, second = bench.join(), bench.join()
    taken = list[Record]()
    until(lambda: bool(taken), doing=lambda: taken.extend(first.poll(100, 1.0)))
    monkeypatch.setattr(Sleepy, "nap", 1.0)
    monkeypatch.setattr(kafka_subscription, "Consumer", Consumer)
    began: dict[Place, int | None] = {}
    is_over = threading.Event()

    def note(records: list[Record]) -> None:
        for record in records:
            began.setdefault(record.place, record.offset)

    def take_over() -> None:
        while not is_over.is_set():
            note(poll(second, 0.2))

    taking_over = in_thread(take_over)
    lost = set[Place]()

    def go_on() -> None:
        records = first.poll(100, 0.2)
        lost.update(first.revoked())
        # What was in hand is slow, and dropped; what came now from the lost partitions is done at once.
        first.commit([record for record in records if record.place in lost])

    until(lambda: bool(lost), doing=go_on)
    monkeypatch.setattr(Sleepy, "nap", 0.0)
    until(lambda: lost <= began.keys(), doing=lambda: note(poll(first, 0.2)))
    is_over.set()
    taking_over()
    assert began == dict.fromkeys(lost, 0)
