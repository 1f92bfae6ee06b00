"""A producer is asked at its URL, with a signature, and only what it says as a verdict counts as one."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings

from django_dlq import producers
from django_dlq.callback.signature import Secret, is_signed
from django_dlq.checkers import Verdict, checkers
from django_dlq.exceptions import BadAnswer, CheckerUnreachable
from django_dlq.message import Message, ReceivedMessage, Record
from django_dlq.models import HalfMessage, Producer
from django_dlq.producer_checks import CHECKER, ask_producer, why_not_called
from tests.callback.answering import answer, answering

pytestmark = [pytest.mark.django_db, pytest.mark.once]

Ask = Callable[..., Verdict]


def make_producer(**columns: Any) -> Producer:
    user = User.objects.create_user("billing")
    columns = {"topics": ["payments"], "callback_url": "https://billing.example/check", "secret": "new"} | columns
    return Producer.objects.create(name="billing", user=user, **columns)


def prepared(producer: Producer) -> HalfMessage:
    message = Message("payments", {"order": "A-17"}, key="A", message_key="charge-A-17")
    return producers.prepare(producer, message)[0]


def as_received(half: HalfMessage) -> ReceivedMessage:
    record = Record("payments")
    return ReceivedMessage(record=record, message_id=half.message_id, message_key=half.message_key, tag="", group="")


@pytest.fixture
def ask(settings: Any) -> Ask:
    """Ask a producer whose server says this; return its verdict, and keep what it was asked."""

    def ask(said: bytes, **columns: Any) -> Verdict:
        with answering(said) as server:
            settings.DLQ_CHECKBACK_HOSTS = [f"127.0.0.1:{server.port}"]
            settings.DLQ_CHECKBACK_ALLOW_HTTP = settings.DLQ_CHECKBACK_ALLOW_PRIVATE = True
            producer = make_producer(callback_url=f"http://127.0.0.1:{server.port}/check", **columns)
            try:
                return ask_producer(as_received(prepared(producer)))
            finally:
                ask.asked = server.asked  # type: ignore[attr-defined]

    return ask


@pytest.mark.parametrize("verdict", Verdict)
def test_the_producer_says_what_became_of_it(ask: Ask, verdict: Verdict) -> None:
    assert ask(answer(json.dumps({"verdict": verdict}).encode())) is verdict


def test_it_is_told_which_message_is_meant_and_never_its_body(ask: Ask) -> None:
    ask(answer(b'{"verdict": "unknown"}'))
    head, _, body = ask.asked[0].partition(b"\r\n\r\n")  # type: ignore[attr-defined]
    half = HalfMessage.objects.get()
    question = json.loads(body)
    at = datetime.fromisoformat(question.pop("prepared_at"))
    assert at == half.prepared_at
    assert at.tzinfo == UTC
    assert question == {
        "id": str(half.pk),
        "message_id": half.message_id,
        "message_key": "charge-A-17",
        "topic": "payments",
        "key": "A",
        "check": 1,
    }
    assert b"Content-Type: application/json" in head.splitlines()


@pytest.mark.parametrize("valid", ["new", "old"])
def test_the_question_is_signed_with_each_secret_that_is_valid(ask: Ask, valid: str) -> None:
    ask(answer(b'{"verdict": "unknown"}'), old_secret="old")
    head, _, body = ask.asked[0].partition(b"\r\n\r\n")  # type: ignore[attr-defined]
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
    assert is_signed(headers, body, by=Secret(valid), now=time.time())


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"commit",
        b'"commit"',
        b'["commit"]',
        b"{}",
        b'{"verdict": "COMMIT"}',
        b'{"verdict": "maybe"}',
        b'{"verdict": true}',
        b'{"verdict": ["commit"]}',
        b'{"Verdict": "commit"}',
        b"[" * 10_000,
        b"\xff\xfe",
        b"<html>commit</html>",
    ],
)
def test_anything_else_is_no_verdict(ask: Ask, said: bytes) -> None:
    with pytest.raises(BadAnswer):
        ask(answer(said))


def test_of_what_was_said_instead_a_little_is_kept_as_text(ask: Ask) -> None:
    with pytest.raises(BadAnswer) as failed:
        ask(answer(b"<script>alert(1)</script>\x00\x1b[2J" + b"x" * 9000))
    assert "<script>alert(1)</script>  [2Jxxx" in str(failed.value)
    assert len(str(failed.value)) < 700


def test_no_secret_is_in_an_error(ask: Ask) -> None:
    with pytest.raises(BadAnswer) as failed:
        ask(answer(b"", status="500 Oops"), secret="hunter2", old_secret="hunter3")
    assert "hunter" not in f"{failed.value!r} {failed.value.__cause__!r}"


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"is_active": False}, "not active"),
        ({"secret": ""}, "no secret"),
        ({"callback_url": "https://other.example/"}, "not one of DLQ_CHECKBACK_HOSTS"),
        ({"callback_url": "http://billing.example/"}, "DLQ_CHECKBACK_ALLOW_HTTP"),
        ({"callback_url": "nonsense"}, "does not begin with https://"),
    ],
)
@override_settings(DLQ_CHECKBACK_HOSTS=["billing.example"])
def test_a_producer_that_may_not_be_called_is_not_called_and_it_is_said_why(columns: dict[str, Any], why: str) -> None:
    producer = make_producer()
    half = prepared(producer)
    Producer.objects.update(**columns)
    producer.refresh_from_db()
    assert why in why_not_called(producer)
    with pytest.raises(CheckerUnreachable, match=why):
        ask_producer(as_received(half))


@override_settings(DLQ_CHECKBACK_HOSTS=["billing.example"])
def test_a_producer_that_may_be_called_has_nothing_against_it() -> None:
    assert why_not_called(make_producer()) == ""


def test_a_producer_that_is_gone_is_not_reached() -> None:
    half = prepared(make_producer())
    Producer.objects.all().delete()
    with pytest.raises(CheckerUnreachable, match="no producer 'billing' any more"):
        ask_producer(as_received(half))


def test_every_process_knows_the_checker_of_what_producers_prepare() -> None:
    assert checkers.expect(CHECKER).function is ask_producer
    assert prepared(make_producer()).checker == CHECKER
