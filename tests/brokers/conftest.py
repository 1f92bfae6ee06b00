"""A Kafka member without a Kafka: its driver does what the test says."""

import pytest

from django_dlq.brokers.kafka_subscription import KafkaSubscription
from tests.brokers.kafka_driver import Driver


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def member(driver: Driver) -> KafkaSubscription:
    member = KafkaSubscription(["orders"], {})
    member._member.driver = driver
    return member
