"""Groups of KIP-848, in which the broker hands out the partitions: `group.protocol=consumer` in OPTIONS."""

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from django_dlq.brokers import kafka_options
from django_dlq.brokers.kafka import KafkaBroker
from django_dlq.message import Record
from django_dlq.testing.broker_bench import Bench, bodies, poll, until
from tests.brokers.test_kafka import REAL_KAFKA

pytestmark = pytest.mark.once

OPTIONS = {"bootstrap.servers": REAL_KAFKA or "127.0.0.1:1", "group.protocol": "consumer"}


def test_what_only_the_older_protocol_knows_is_left_out() -> None:
    assert "partition.assignment.strategy" in kafka_options.consumer_settings({}, group="g")
    assert "partition.assignment.strategy" not in kafka_options.consumer_settings(OPTIONS, group="g")
    assert KafkaBroker.check("default", OPTIONS) == []


@pytest.mark.kafka
@pytest.mark.skipif(not REAL_KAFKA, reason="DLQ_TEST_KAFKA does not name a real Kafka (host:port)")
class TestOnRealKafka:
    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        bench = Bench(KafkaBroker("default", OPTIONS))
        admin = AdminClient({"bootstrap.servers": REAL_KAFKA or ""})
        admin.create_topics([NewTopic(bench.topic, 4)])[bench.topic].result(20)
        yield bench
        bench.close()
        bench.broker.close()

    def test_what_was_committed_stays_so_and_the_rest_comes_again(self, bench: Bench) -> None:
        bench.send(*bench.numbered(*range(20)))
        first = bench.join()
        received = bench.receive(first, 20)
        done = [record for record in received if record.partition in (0, 1)]
        first.commit(done)
        first.close()
        left = [record for record in received if record not in done]
        assert bodies(bench.receive(bench.join(), len(left))) == bodies(left)

    def test_while_one_member_is_kept_alive_another_takes_its_share_and_each_record_comes_again(
        self, bench: Bench
    ) -> None:
        bench.send(*bench.numbered(*range(40)))
        first = bench.join()
        received = bench.receive(first, 40)
        second, theirs, lost = bench.join(), list[Record](), set[tuple[str, int]]()

        def go_on() -> None:
            first.keep_alive()
            theirs.extend(poll(second, 0.3))
            lost.update(first.revoked())

        until(lambda: {record.place for record in theirs} == lost != set(), doing=go_on)
        assert len(lost) == 2
        first.commit(received)
        second.close()
        again: list[Record] = []
        expected = {record.body for record in received if record.place in lost}
        until(lambda: expected <= {r.body for r in again}, doing=lambda: again.extend(poll(first, 0.5)))
        assert {record.body for record in again} == expected  # the commit counted for what was still its own
