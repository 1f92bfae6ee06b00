"""MemoryBroker: what every broker does, and its faults to order."""

import threading
import uuid

import pytest
from django.test import override_settings

from django_dlq.brokers import brokers
from django_dlq.brokers.memory import MemoryBroker
from django_dlq.exceptions import BrokerUnavailable, MessageRefused
from django_dlq.message import Record
from django_dlq.testing.conformance import BrokerConformance, Spoil

pytestmark = pytest.mark.once

PATH = "django_dlq.brokers.memory.MemoryBroker"


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(uuid.uuid4().hex, {})


class TestMemoryBroker(BrokerConformance):
    @pytest.fixture
    def broker(self) -> MemoryBroker:
        return MemoryBroker(uuid.uuid4().hex, {})

    @pytest.fixture
    def outage(self, broker: MemoryBroker) -> MemoryBroker:
        return broker

    @pytest.fixture
    def spoil(self, broker: MemoryBroker) -> Spoil:
        broker.refuse(lambda record: record.body == b"spoiled")
        return lambda record: record._replace(body=b"spoiled")


def test_it_shows_what_was_sent_in_the_order_of_arrival(broker: MemoryBroker) -> None:
    broker.send([Record(topic="t", key=b"%d" % n, body=b"%d" % n) for n in range(20)], 1)
    assert [record.body for record in broker.records("t")] == [b"%d" % n for n in range(20)]
    assert broker.records("another") == []


def test_it_refuses_what_it_is_told_to_refuse(broker: MemoryBroker) -> None:
    broker.refuse(lambda record: record.body == b"bad")
    good, bad = broker.send([Record(topic="t", body=b"good"), Record(topic="t", body=b"bad")], 1)
    assert good.error is None
    assert isinstance(bad.error, MessageRefused)
    broker.reset()
    assert broker.send([Record(topic="t", body=b"bad")], 1)[0].error is None


@pytest.mark.parametrize("name", ["", "with space", "x" * 250, "slash/ed"])
def test_it_refuses_names_that_kafka_refuses(broker: MemoryBroker, name: str) -> None:
    assert isinstance(broker.send([Record(topic=name)], 1)[0].error, MessageRefused)


def test_it_can_be_down(broker: MemoryBroker) -> None:
    member = broker.subscribe(["t"], "g")
    broker.down()
    assert isinstance(broker.send([Record(topic="t")], 1)[0].error, BrokerUnavailable)
    with pytest.raises(BrokerUnavailable):
        member.poll(1, 1)
    broker.up()
    assert member.poll(1, 0) == []


def test_brokers_of_one_name_share_their_records() -> None:
    one, same = MemoryBroker("one", {"name": "shared"}), MemoryBroker("two", {"name": "shared"})
    other = MemoryBroker("one", {"name": "other"})
    one.send([Record(topic="t", body=b"x")], 1)
    assert [record.body for record in same.records("t")] == [b"x"]
    assert other.records("t") == []


def test_other_settings_begin_with_empty_brokers() -> None:
    with override_settings(DLQ_BROKERS={"default": {"BACKEND": PATH}}):
        brokers["default"].send([Record(topic="t")], 1)
    with override_settings(DLQ_BROKERS={"default": {"BACKEND": PATH}}):
        broker = brokers["default"]
        assert isinstance(broker, MemoryBroker)
        assert broker.records("t") == []


def test_a_reset_leaves_members_where_they_are(broker: MemoryBroker) -> None:
    member = broker.subscribe(["t"], "g")
    broker.send([Record(topic="t", body=b"before")], 1)
    member.commit(member.poll(10, 1))
    broker.reset()
    broker.send([Record(topic="t", body=b"after")], 1)
    assert [record.body for record in member.poll(10, 1)] == [b"after"]


def test_a_poll_wakes_when_another_thread_sends(broker: MemoryBroker) -> None:
    member = broker.subscribe(["t"], "g")
    sending = threading.Timer(0.1, lambda: broker.send([Record(topic="t", body=b"x")], 1))
    sending.start()
    assert [record.body for record in member.poll(10, 30)] == [b"x"]
    sending.join()


def test_a_closed_member_joins_again_when_it_polls(broker: MemoryBroker) -> None:
    member = broker.subscribe(["t"], "g")
    member.close()
    member.close()
    broker.send([Record(topic="t", body=b"x")], 1)
    assert [record.body for record in member.poll(10, 1)] == [b"x"]


def test_no_partition_starves() -> None:
    broker = MemoryBroker(uuid.uuid4().hex, {"partitions": 2})
    member = broker.subscribe(["t"], "g")
    broker.send([Record(topic="t", body=b"%d" % n) for n in range(10)], 1)
    assert {record.partition for _ in range(2) for record in member.poll(1, 1)} == {0, 1}


def test_members_want_different_topics(broker: MemoryBroker) -> None:
    one, both = broker.subscribe(["a"], "g"), broker.subscribe(["a", "b"], "g")
    broker.send([Record(topic=topic, body=topic.encode()) for topic in "ab" for _ in range(8)], 1)
    assert {record.topic for record in one.poll(100, 1)} == {"a"}
    assert {record.topic for record in both.poll(100, 1)} == {"a", "b"}


def test_partitions_is_an_option() -> None:
    broker = MemoryBroker(uuid.uuid4().hex, {"partitions": 1})
    receipts = broker.send([Record(topic="t", key=b"%d" % n) for n in range(8)], 1)
    assert [(receipt.partition, receipt.offset) for receipt in receipts] == [(0, n) for n in range(8)]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({}, []),
        ({"name": "x", "partitions": 1}, []),
        ({"partition": 1, "bootstrap.servers": "x"}, ["django_dlq.E111", "django_dlq.E111"]),
        ({"partitions": 0}, ["django_dlq.E112"]),
        ({"partitions": "4"}, ["django_dlq.E112"]),
    ],
)
def test_mistakes_in_options_are_named(options: dict[str, object], ids: list[str]) -> None:
    assert [message.id for message in MemoryBroker.check("default", options)] == ids
