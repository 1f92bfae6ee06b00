"""What Kafka's own tools read from us, and what we make of what they write."""

from collections import Counter

import pytest
from confluent_kafka import Producer

from django_dlq.message import readable
from django_dlq.models import DeadLetter, PublishedMessage, State
from django_dlq.payload import describe
from tests.scenarios.conftest import MakeStage
from tests.scenarios.stage import Stage
from tests.services.kafka import console_consumer, console_producer
from tests.shop.models import Box

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]

# Headers, key and body, as ConsoleProducer parses them; NULL is a null.
WRITTEN = b"\n".join(
    [
        b'NULL\tk\t{"order":"good"}',
        b'NULL\tmalformed\t{"order":',
        b"NULL\tempty\t",
        b"NULL\ttombstone\tNULL",
        b"NULL\tnot text\t\xff\xfe\x00",
        b'NULL\tk\t{"order":"large","padding":"' + b"x" * 900_000 + b'"}',
        b'trace:1,other:x,trace:2\tk\t{"order":"with repeated headers"}',
        b"trace:1,other:x,trace:2\trepeated\tnot JSON",
        b"",
    ]
)
HANDLED = ["good", "large", "with repeated headers", "last"]


def test_kafkas_own_consumer_reads_what_the_docs_say(kafka: str, make_stage: MakeStage) -> None:
    stage = make_stage(kafka)
    stage.publish("17", key="customer-1", tag="paid", headers={"trace": "4bf9"})
    with stage.running("dlq_relay"):
        stage.until(stage.outbox_is_empty)

    printed = console_consumer(
        stage.topic, "--max-messages", "1",
        "--formatter-property", "print.headers=true", "--formatter-property", "print.key=true",
    )  # fmt: skip
    sent = PublishedMessage.objects.get()
    headers = f"trace:4bf9,id:{sent.message_id},dlq-message-key:17,dlq-tag:paid"
    assert printed.decode() == f'{headers}\tcustomer-1\t{{"order":"17"}}\n'


def test_whatever_others_write_is_handled_or_a_readable_letter_and_the_consumer_never_stops(
    kafka: str, make_stage: MakeStage
) -> None:
    stage = make_stage(kafka)
    with stage.running("dlq_consume"):
        write_with_kafkas_own_producer(stage)
        # That one decodes its input, so it cannot write bytes that are not UTF-8; any other client can.
        producer = Producer({"bootstrap.servers": kafka})
        producer.produce(stage.topic, b"\xff\xfe\x00", b"\xff", headers=[("h", b"\xff"), ("h", None)])
        producer.produce(stage.topic, b'{"order":"last"}', b"k")
        assert producer.flush(30) == 0
        stage.until(stage.is_consumed)

    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(HANDLED)
    assert {letter.key: (letter.body_bytes, why(letter)) for letter in DeadLetter.objects.all()} == {
        "malformed": (b'{"order":', "the body is not JSON"),
        "empty": (b"", "the body is empty"),
        "tombstone": (None, "the body is absent (a tombstone)"),
        "not text": ("\ufffd\ufffd\0".encode(), "the body is not JSON"),
        "repeated": (b"not JSON", "the body is not JSON"),
        "\\xff": (b"\xff\xfe\x00", "the body is not UTF-8 text"),
    }
    headers = dict(DeadLetter.objects.values_list("key", "headers"))
    assert headers["repeated"] == (("trace", b"1"), ("other", b"x"), ("trace", b"2"))
    assert headers["\\xff"] == (("h", b"\xff"), ("h", None))


def write_with_kafkas_own_producer(stage: Stage) -> None:
    """Write all of it, in one go."""
    options = {"parse.headers": "true", "parse.key": "true", "null.marker": "NULL"}
    arguments = [word for name, value in options.items() for word in ("--reader-property", f"{name}={value}")]
    console_producer(stage.topic, WRITTEN, *arguments)


def why(letter: DeadLetter) -> str:
    """Return what the letter says first about its cause, after making sure that a person gets to see all of it."""
    assert letter.state == State.DEAD
    assert letter.error_class == "django_dlq.exceptions.UnreadableBody"
    assert "in pack" in letter.traceback
    assert describe(letter.body_bytes, masked=False).raw == readable(letter.body_bytes or b"")
    return letter.error_message.partition(":")[0]
