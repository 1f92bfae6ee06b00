"""What a Kafka member does while whoever polls is busy, with a driver that does what the test says."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from django_dlq.brokers.kafka_subscription import KafkaSubscription
from django_dlq.exceptions import BrokerUnavailable
from tests.brokers.kafka_driver import MINE, Arrival, Driver

pytestmark = pytest.mark.once


def test_it_polls_with_all_partitions_paused_and_the_next_poll_resumes_them(
    member: KafkaSubscription, driver: Driver
) -> None:
    member.keep_alive()
    member.keep_alive()
    member.poll(10, 0)
    member.poll(10, 0)
    assert driver.calls == ["pause 2", "poll", "pause 2", "poll", "resume 2", "poll", "poll"]


def test_what_comes_all_the_same_is_given_by_the_next_polls(member: KafkaSubscription, driver: Driver) -> None:
    driver.arrivals = [Arrival(0, b"1"), Arrival(1, b"2"), Arrival(0, b"3")]
    for _ in range(3):
        member.keep_alive()
    assert [record.body for record in member.poll(2, 0)] == [b"1", b"2"]
    assert [record.body for record in member.poll(2, 0)] == [b"3"]


def test_what_came_of_a_partition_that_is_revoked_is_dropped(member: KafkaSubscription, driver: Driver) -> None:
    driver.arrivals = [Arrival(0, b"1"), Arrival(1, b"2")]
    member.keep_alive()
    member.keep_alive()
    member._forget(driver, MINE[:1])
    assert driver.calls[-1] == "resume 1"  # or it would come back paused
    assert set(member.revoked()) == {("orders", 0)}
    assert member.revoked() == []
    assert [record.body for record in member.poll(2, 0)] == [b"2"]


def test_one_that_has_not_joined_yet_has_nothing_to_keep() -> None:
    KafkaSubscription(["orders"], {}).keep_alive()


def test_a_driver_that_is_broken_is_left_to_the_next_poll(member: KafkaSubscription, driver: Driver) -> None:
    driver.arrivals = [KafkaException(KafkaError(KafkaError._FATAL))]
    with pytest.raises(BrokerUnavailable):
        member.keep_alive()
    member.keep_alive()
    assert driver.calls == ["pause 2", "poll"]


@pytest.mark.parametrize(("milliseconds", "seconds"), [(None, 1.0), (300_000, 1.0), ("2000", 0.5)])
def test_it_is_due_after_a_second_or_a_quarter_of_what_the_group_allows(milliseconds: Any, seconds: float) -> None:
    settings = {} if milliseconds is None else {"max.poll.interval.ms": milliseconds}
    assert KafkaSubscription(["orders"], settings).longest_silence == seconds
