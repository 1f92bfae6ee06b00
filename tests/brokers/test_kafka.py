"""KafkaBroker: what every broker does, on a mock cluster and on real Kafka."""

import os
from collections.abc import Iterator

import pytest

from django_dlq.brokers import kafka_commits
from django_dlq.brokers.kafka import KafkaBroker
from django_dlq.testing.conformance import BrokerConformance
from django_dlq.testing.mock_kafka import MockKafka
from tests.scenarios.private_services import private
from tests.services.kafka import Kafka

pytestmark = pytest.mark.once

REAL_KAFKA = os.environ.get("DLQ_TEST_KAFKA")


@pytest.fixture(autouse=True)
def short_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_commits, "COMMIT_SECONDS", 2.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockKafka]:
    with MockKafka(brokers=3) as kafka:
        yield kafka


class TestKafkaBrokerOnMockCluster(BrokerConformance):
    @pytest.fixture
    def broker(self, cluster: MockKafka) -> Iterator[KafkaBroker]:
        broker = KafkaBroker("default", cluster.options)
        yield broker
        broker.close()

    @pytest.fixture
    def outage(self, cluster: MockKafka) -> Iterator[MockKafka]:
        yield cluster
        cluster.up()


class StoppableKafka:
    """Real Kafka as something that conformance may take down."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka

    def down(self) -> None:
        self.kafka.kill()

    def up(self) -> None:
        self.kafka.start()


@pytest.fixture(scope="module")
def real_kafka() -> Iterator[Kafka]:
    # Not the shared one, since it is taken down.
    with private(Kafka) as kafka:
        yield kafka


@pytest.mark.kafka
@pytest.mark.skipif(not REAL_KAFKA, reason="DLQ_TEST_KAFKA does not name a real Kafka (host:port)")
class TestKafkaBrokerOnRealKafka(BrokerConformance):
    @pytest.fixture
    def broker(self, real_kafka: Kafka) -> Iterator[KafkaBroker]:
        broker = KafkaBroker("default", {"bootstrap.servers": real_kafka.url, "session.timeout.ms": 6000})
        yield broker
        broker.close()

    @pytest.fixture
    def outage(self, real_kafka: Kafka) -> Iterator[StoppableKafka]:
        yield StoppableKafka(real_kafka)
        real_kafka.up()
