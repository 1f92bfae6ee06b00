"""KafkaBroker when Kafka fails: what is refused, what waits, what is never lost or overtaken."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

import pytest
from confluent_kafka import KafkaError

from django_dlq.brokers.kafka import KafkaBroker
from django_dlq.exceptions import BrokerUnavailable, HeldBack, MessageRefused, RejectedTogether, TopicUnavailable
from django_dlq.message import Record
from django_dlq.testing.broker_bench import Bench, are_unavailable, bodies, poll, until
from django_dlq.testing.mock_kafka import DISCONNECT, HEARTBEAT, INIT_PRODUCER_ID, OFFSET_COMMIT, PRODUCE, MockKafka

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def cluster() -> Iterator[MockKafka]:
    with MockKafka(brokers=3) as cluster:
        yield cluster


@pytest.fixture
def kafka(cluster: MockKafka) -> Iterator[MockKafka]:
    yield cluster
    cluster.up()
    cluster.delay(0)
    for api in (PRODUCE, HEARTBEAT, INIT_PRODUCER_ID, OFFSET_COMMIT):
        cluster.forget_failures(api)


@pytest.fixture
def bench(kafka: MockKafka) -> Iterator[Bench]:
    bench = Bench(KafkaBroker("default", kafka.options))
    kafka.create_topic(bench.topic)
    yield bench
    bench.close()
    bench.broker.close()


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.UNKNOWN_PRODUCER_ID,
        DISCONNECT,
    ],
)
def test_what_passes_by_itself_is_waited_for(kafka: MockKafka, bench: Bench, code: int) -> None:
    kafka.fail_next(PRODUCE, code, code)
    bench.send(bench.record(b"x"))
    assert bodies(bench.read(1)) == [b"x"]


@pytest.mark.parametrize(
    "code", [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.TOPIC_AUTHORIZATION_FAILED]
)
def test_the_records_own_faults_are_refusals(kafka: MockKafka, bench: Bench, code: int) -> None:
    kafka.fail_next(PRODUCE, code)
    [receipt] = bench.broker.send([bench.record(b"x")], 10)
    assert isinstance(receipt.error, MessageRefused)
    bench.send(bench.record(b"the next one"))


def test_a_record_that_was_rejected_with_others_is_tried_alone(kafka: MockKafka, bench: Bench) -> None:
    sent = [bench.record(b"%d" % number, key=b"one key") for number in range(40)]
    kafka.fail_next(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
    bench.send(*sent)
    assert [record.body for record in bench.read(40)] == [record.body for record in sent]


def test_what_follows_a_record_that_is_refused_alone_is_held_back(kafka: MockKafka, bench: Bench) -> None:
    sent = [bench.record(b"%d" % number, key=b"one key") for number in range(9)]
    # The whole is rejected, then its first part, then the first record of that.
    kafka.fail_next(PRODUCE, *[KafkaError.MSG_SIZE_TOO_LARGE] * 3)
    receipts = bench.broker.send(sent, 10)
    assert [type(receipt.error) for receipt in receipts] == [MessageRefused, *[HeldBack] * 8]
    bench.send(*sent[1:])
    assert [record.body for record in bench.read(8)] == [record.body for record in sent[1:]]


def test_a_record_before_a_refused_one_of_its_key_is_not_held_back(kafka: MockKafka, bench: Bench) -> None:
    first, later = bench.record(b"1", key=b"k"), bench.record(b"3", key=b"k")
    # The client refuses the second at once, and Kafka rejects the batch with the first, which is tried again alone.
    kafka.fail_next(PRODUCE, KafkaError.MSG_SIZE_TOO_LARGE)
    receipts = bench.broker.send([first, first._replace(body=bytes(2_000_000)), later], 10)
    assert [type(receipt.error) for receipt in receipts] == [type(None), MessageRefused, HeldBack]
    assert bodies(bench.read(1)) == [b"1"]


def test_nothing_is_sent_after_a_refused_record_of_its_key_when_the_queue_is_full(kafka: MockKafka) -> None:
    small = Bench(KafkaBroker("small", {**kafka.options, "queue.buffering.max.messages": 5}))
    kafka.create_topic(small.topic)
    numbered = [small.record(b"%d" % number, key=b"k") for number in range(20)]
    receipts = small.broker.send([*numbered[:10], small.record(bytes(2_000_000), key=b"k"), *numbered[10:]], 10)
    assert [type(receipt.error) for receipt in receipts] == [*[type(None)] * 10, MessageRefused, *[HeldBack] * 10]
    small.broker.close()


def test_what_cannot_be_tried_alone_in_time_may_be_sent_again(kafka: MockKafka, bench: Bench) -> None:
    bench.send(bench.record(b"x"))  # so that what takes time is not the first client
    kafka.fail_next(PRODUCE, *[KafkaError.MSG_SIZE_TOO_LARGE] * 100)
    receipts = bench.broker.send([bench.record(b"%d" % number, key=b"k") for number in range(40)], 1.0)
    # Kafka is well, so this is no outage.
    assert {type(receipt.error) for receipt in receipts} <= {RejectedTogether, MessageRefused, HeldBack}
    assert isinstance(receipts[-1].error, (RejectedTogether, HeldBack))


@pytest.mark.parametrize("code", [KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, KafkaError.INVALID_PRODUCER_EPOCH])
def test_after_a_fatal_error_there_is_a_new_client(kafka: MockKafka, bench: Bench, code: int) -> None:
    kafka.fail_next(PRODUCE, code)
    assert are_unavailable(bench.broker.send([bench.record(b"lost")], 10))
    bench.send(bench.record(b"x"))


def test_a_producer_that_may_not_begin_is_an_outage(kafka: MockKafka, bench: Bench) -> None:
    kafka.fail_next(INIT_PRODUCER_ID, KafkaError.CLUSTER_AUTHORIZATION_FAILED)
    assert are_unavailable(bench.broker.send(bench.numbered(1, 2, 3), 10))
    bench.send(*bench.numbered(1, 2, 3))


def test_a_topic_that_does_not_exist_refuses_and_others_go_on(kafka: MockKafka, bench: Bench) -> None:
    missing = uuid.uuid4().hex
    kafka.fail_topic(missing, KafkaError.UNKNOWN_TOPIC_OR_PART)
    lost, sent = bench.broker.send([Record(topic=missing, body=b"x"), bench.record(b"x")], 4)
    assert isinstance(lost.error, MessageRefused)
    assert sent.error is None
    kafka.fail_topic(missing, 0)
    until(lambda: bench.broker.send([Record(topic=missing)], 4)[0].error is None, doing=lambda: time.sleep(0.2))


def test_a_topic_that_may_not_be_written_refuses(kafka: MockKafka, bench: Bench) -> None:
    forbidden = uuid.uuid4().hex
    kafka.fail_topic(forbidden, KafkaError.TOPIC_AUTHORIZATION_FAILED)
    refused, sent = bench.broker.send([Record(topic=forbidden, body=b"x"), bench.record(b"x")], 10)
    assert isinstance(refused.error, MessageRefused)
    assert sent.error is None


@pytest.mark.parametrize(
    "record",
    [
        Record(topic="t", body=b"x" * 2_000_000),
        Record(topic="nul\0", body=b"x"),
        Record(topic="t", body={"not": "bytes"}),  # type: ignore[arg-type]
        Record(topic="\ud800", body=b"x"),
    ],
)
def test_what_the_client_itself_cannot_take_is_refused(bench: Bench, record: Record) -> None:
    refused, sent = bench.broker.send([record, bench.record(b"x")], 10)
    assert isinstance(refused.error, MessageRefused)
    assert sent.error is None


def test_a_full_queue_is_waited_for(kafka: MockKafka, bench: Bench) -> None:
    small = KafkaBroker("small", {**kafka.options, "queue.buffering.max.messages": 10})
    receipts = small.send([bench.record(b"%d" % number, key=b"k") for number in range(200)], 20)
    assert [receipt.error for receipt in receipts] == [None] * 200
    kafka.down()
    assert are_unavailable(small.send([bench.record(b"lost")] * 20, 1.0))


def test_a_broker_that_does_not_answer_is_an_outage(kafka: MockKafka, bench: Bench) -> None:
    bench.send(bench.record(b"before"))
    kafka.delay(4000)
    started = time.monotonic()
    assert are_unavailable(bench.broker.send(bench.numbered(1, 2), 1.0))
    assert time.monotonic() - started < 3


def test_a_partition_without_a_leader_is_told_from_an_outage(kafka: MockKafka, bench: Bench) -> None:
    kafka.lead(bench.topic, 0, broker=2)
    bench.send(bench.record(b"the client connects"))
    kafka.down(2)
    stuck = bench.broker.send([bench.record(b"x", key=b"%d" % number) for number in range(20)], 2.0)
    assert {type(receipt.error) for receipt in stuck} == {type(None), TopicUnavailable}
    kafka.down()
    away = bench.broker.send([bench.record(b"x")], 2.0)
    assert type(away[0].error) is BrokerUnavailable


def test_an_outage_says_what_the_client_has_heard(kafka: MockKafka, bench: Bench) -> None:
    kafka.down()
    [receipt] = bench.broker.send([bench.record(b"x")], 1.0)
    assert "refused" in str(receipt.error)


def test_a_record_does_not_wait_for_others_to_join_it(bench: Bench) -> None:
    bench.send(bench.record(b"the client connects"))
    started = time.monotonic()
    for _ in range(20):
        bench.send(bench.record(b"x", key=b"k"))
    # Alone, `linger.ms` would be 20 seconds.
    assert time.monotonic() - started < 10


def test_batches_of_5000_go_through(bench: Bench) -> None:
    bench.send(*(bench.record(b"x" * 1000, key=b"%d" % number) for number in range(5000)))


@pytest.mark.parametrize("seed", range(3))
def test_no_record_of_a_key_overtakes_another_whatever_fails(kafka: MockKafka, bench: Bench, seed: int) -> None:
    chance = random.Random(seed)
    waiting = [bench.record(b"%d" % number, key=b"%d" % (number % 5)) for number in range(360)]
    refused: set[bytes | None] = set()
    while waiting:
        timers = _something_fails(kafka, bench.topic, chance)
        batch = waiting[:60]
        receipts = bench.broker.send(batch, chance.choice([0.7, 2.0]))
        refused |= {
            r.body for r, receipt in zip(batch, receipts, strict=True) if isinstance(receipt.error, MessageRefused)
        }
        open_ = [
            r
            for r, receipt in zip(batch, receipts, strict=True)
            if isinstance(receipt.error, (BrokerUnavailable, HeldBack, RejectedTogether))
        ]
        waiting[:60] = open_
        for timer in timers:
            timer.join()
        kafka.up()
    by_key = _first_arrivals(bench, 360 - len(refused))
    for key, numbers in by_key.items():
        assert numbers == sorted(numbers), key
    assert {b"%d" % number for numbers in by_key.values() for number in numbers} >= {
        b"%d" % n for n in range(360)
    } - refused


def _something_fails(kafka: MockKafka, topic: str, chance: random.Random) -> list[threading.Timer]:
    later = threading.Timer(chance.random() / 100, kafka.down)
    back = threading.Timer(chance.random(), kafka.up)
    faults: list[Callable[[], object]] = [
        lambda: None,
        kafka.down,
        later.start,
        lambda: (kafka.down(), back.start()),
        lambda: kafka.fail_next(PRODUCE, *[DISCONNECT] * chance.randint(1, 6)),
        lambda: kafka.fail_next(PRODUCE, *[KafkaError.NOT_LEADER_FOR_PARTITION] * chance.randint(1, 6)),
        lambda: kafka.fail_next(PRODUCE, KafkaError.REQUEST_TIMED_OUT, 0, KafkaError.NOT_ENOUGH_REPLICAS),
        lambda: kafka.fail_next(PRODUCE, 0, KafkaError.MSG_SIZE_TOO_LARGE),
        lambda: kafka.fail_next(PRODUCE, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER),
        lambda: kafka.lead(topic, chance.randrange(4), broker=chance.randint(1, 3)),
        lambda: kafka.delay(chance.choice([0, 5, 900])),
    ]
    kafka.delay(0)
    chance.choice(faults)()
    return [timer for timer in (later, back) if timer.is_alive()]


def _first_arrivals(bench: Bench, at_least: int) -> dict[bytes | None, list[int]]:
    """Return the numbers that arrived for each key, without repeats, until there are enough and no more come."""
    member, by_key = bench.join(), dict[bytes | None, dict[int, None]]()

    def read() -> Sequence[Record]:
        records = poll(member, 0.5)
        for record in records:
            by_key.setdefault(record.key, {}).setdefault(int(record.body or b""))
        return records

    until(lambda: sum(map(len, by_key.values())) >= at_least, doing=read)
    while read():
        pass
    return {key: list(numbers) for key, numbers in by_key.items()}
