"""A service that is not Django prepares half messages over HTTP, and decides its own."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import override_settings
from rest_framework.test import APIClient

from django_dlq.message import Headers
from django_dlq.models import DecidedBy, HalfMessage, HalfState, OutboxMessage, Producer
from django_dlq.producer_checks import CHECKER
from tests.api.conftest import JsonClient

HALVES = "/dlq/half-messages/"
MESSAGE = {"topic": "payments", "body": {"order": "A-17"}}

SignIn = Callable[..., APIClient]


@pytest.fixture
def sign_in_as(db: None) -> SignIn:
    def make(name: str = "billing", topics: tuple[str, ...] = ("payments", "billing.*"), **columns: Any) -> APIClient:
        user = User.objects.create_user(name)
        columns = {"topics": list(topics), "callback_url": "https://billing.example/"} | columns
        Producer.objects.create(name=name, user=user, **columns)
        client = JsonClient()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def billing(sign_in_as: SignIn) -> APIClient:
    return sign_in_as()


def prepare(client: APIClient, again: str | None = None, /, **fields: Any) -> Any:
    headers = {} if again is None else {"Idempotency-Key": again}
    return client.post(HALVES, {**MESSAGE, **fields}, headers=headers)


def decide(client: APIClient, verb: str, pk: Any = None) -> Any:
    return client.post(f"{HALVES}{pk or HalfMessage.objects.get().pk}/{verb}/")


def test_a_prepared_message_is_seen_by_nobody_until_it_is_committed(billing: APIClient) -> None:
    answer = prepare(billing)
    half = HalfMessage.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"http://testserver{HALVES}{half.pk}/")
    assert answer.json().items() >= {"id": str(half.pk), "state": "prepared", "topic": "payments", "checks": 0}.items()
    assert (half.producer, half.checker) == ("billing", CHECKER)
    assert not OutboxMessage.objects.exists()

    answer = decide(billing, "commit")
    assert (answer.status_code, answer.json()["state"], answer.json()["decided_by"]) == (200, "committed", "producer")
    row = OutboxMessage.objects.get()
    assert (row.topic, row.body_bytes, row.message_id) == ("payments", b'{"order":"A-17"}', half.message_id)


def test_a_message_that_is_rolled_back_is_never_sent(billing: APIClient) -> None:
    prepare(billing)
    answer = decide(billing, "rollback")
    assert (answer.status_code, answer.json()["state"]) == (200, "rolled_back")
    half = HalfMessage.objects.get()
    assert (half.decided_by, half.actor_name) == (DecidedBy.PRODUCER, "billing")
    assert not OutboxMessage.objects.exists()


def test_every_option_of_prepare_can_be_given(billing: APIClient) -> None:
    options: dict[str, Any] = {"key": "A", "message_key": "charge-A", "tag": "paid", "priority": 3, "broker": "default"}
    times = {"delay": 1.5, "expires_in": 60, "check_after": 0, "check_every": 7, "most_checks": 2}
    assert prepare(billing, headers=[["a", "1"], ["a", None]], **options, **times).status_code == 201
    half = HalfMessage.objects.get()
    assert {name: getattr(half, name) for name in options} == options
    headers: Headers = (("a", b"1"), ("a", None))
    assert (half.headers, half.most_checks, half.check_every) == (headers, 2, timedelta(seconds=7))
    assert (half.delay, half.expires_in) == (timedelta(seconds=1.5), timedelta(minutes=1))


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"body": [1, "two"]}, b'[1,"two"]'),
        ({"body_text": " kept "}, b" kept "),
        ({"body_text": ""}, b""),
        ({"body_base64": base64.b64encode(b"\xff\x00").decode()}, b"\xff\x00"),
    ],
)
def test_a_body_can_be_sent_in_three_ways(billing: APIClient, fields: dict[str, Any], body: bytes) -> None:
    assert billing.post(HALVES, {"topic": "payments", **fields}).status_code == 201
    assert HalfMessage.objects.get().body_bytes == body


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"body": "text"}, "body"),
        ({"body_text": "and"}, "body"),
        ({"body_base64": "%%%"}, "body_base64"),
        ({"checker": "shop.other"}, "checker"),
        ({"producer": "other"}, "producer"),
        ({"state": "committed"}, "state"),
        ({"Tag": "paid"}, "Tag"),
        ({"topic": None}, "topic"),
        ({"key": "a\x00b"}, "key"),
        ({"delay": -1}, "delay"),
        ({"delay": "soon"}, "delay"),
        ({"expires_in": 1e300}, "expires_in"),
        ({"priority": 10}, "priority"),
        ({"most_checks": 0}, "most_checks"),
        ({"headers": {"a": "b"}}, "headers"),
    ],
)
def test_a_field_that_cannot_be_meant_is_refused_by_name(
    billing: APIClient, fields: dict[str, Any], field: str
) -> None:
    answer = prepare(billing, **fields)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field), answer.json()
    assert not HalfMessage.objects.exists()


def test_a_message_needs_a_body(billing: APIClient) -> None:
    answer = billing.post(HALVES, {"topic": "payments"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "body")


@pytest.mark.parametrize("fields", [{"headers": [["dlq-tag", "x"]]}, {"tag": "x" * 256}, {"broker": "none"}])
def test_what_publish_would_refuse_is_refused(billing: APIClient, fields: dict[str, Any]) -> None:
    answer = prepare(billing, **fields)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_message")


@override_settings(DLQ_MAX_MESSAGE_BYTES=1000)
def test_a_message_that_is_too_large_is_refused(billing: APIClient) -> None:
    answer = prepare(billing, body={"text": "x" * 1001})
    assert (answer.status_code, answer.json()["code"]) == (400, "message_too_large")


@override_settings(DLQ_MAX_MESSAGE_BYTES=1000)
def test_no_more_is_read_than_a_message_can_be(billing: APIClient) -> None:
    answer = billing.generic("POST", HALVES, b'{"body_text": "' + b"x" * 70_000, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_same_idempotency_key_with_the_same_message_is_the_same_half_message(billing: APIClient) -> None:
    first, again = prepare(billing, "k-1"), prepare(billing, "k-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.headers["Location"] == again.headers["Location"]
    decide(billing, "commit")
    assert prepare(billing, "k-1").json()["state"] == "committed"
    assert HalfMessage.objects.count() == 1


def test_the_trace_of_a_request_makes_no_difference_and_is_carried_on(billing: APIClient) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b{}-01"
    for last in "78":
        headers = {"Idempotency-Key": "k-1", "traceparent": trace.format(last)}
        assert billing.post(HALVES, MESSAGE, headers=headers).status_code < 300
    (name, value), *_ = HalfMessage.objects.get().headers
    assert (name, value[3:35]) == ("traceparent", b"4bf92f3577b34da6a3ce929d0e0e4736")


@pytest.mark.parametrize(
    "other",
    [
        {"body": {"order": "A-18"}},
        {"topic": "billing.refunds"},
        {"message_key": "charge"},
        {"key": "A"},
        {"tag": "paid"},
        {"headers": [["a", "b"]]},
        {"delay": 1},
        {"expires_in": 1},
        {"priority": 1},
    ],
)
def test_an_idempotency_key_with_another_message_is_an_error(billing: APIClient, other: dict[str, Any]) -> None:
    prepare(billing, "k-1")
    answer = prepare(billing, "k-1", **other)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert HalfMessage.objects.count() == 1


def test_without_an_idempotency_key_each_request_is_a_message_of_its_own(billing: APIClient) -> None:
    assert prepare(billing).json()["id"] != prepare(billing).json()["id"]


def test_two_producers_may_use_the_same_idempotency_key(sign_in_as: SignIn) -> None:
    assert prepare(sign_in_as("a"), "k-1").status_code == prepare(sign_in_as("b"), "k-1").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "ключ", "a\tb"])
def test_an_idempotency_key_that_no_column_could_hold_is_refused(billing: APIClient, key: str) -> None:
    answer = prepare(billing, key)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize(("verb", "state"), [("commit", "committed"), ("rollback", "rolled_back")])
def test_a_decision_may_be_repeated(billing: APIClient, verb: str, state: str) -> None:
    prepare(billing)
    first, again = decide(billing, verb), decide(billing, verb)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert again.json()["state"] == state
    assert OutboxMessage.objects.count() == (verb == "commit")


@pytest.mark.parametrize(("first", "late"), [("rollback", "commit"), ("commit", "rollback")])
def test_a_late_decision_is_a_conflict_and_changes_nothing(billing: APIClient, first: str, late: str) -> None:
    prepare(billing)
    decide(billing, first)
    answer = decide(billing, late)
    assert (answer.status_code, answer.json()["code"]) == (409, "decided_otherwise")
    assert "too late" in answer.json()["detail"]
    assert OutboxMessage.objects.count() == (first == "commit")


def test_after_a_check_has_rolled_it_back_a_commit_is_too_late(billing: APIClient) -> None:
    prepare(billing)
    HalfMessage.objects.get().rollback(by=DecidedBy.CHECK)
    assert decide(billing, "commit").status_code == 409
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize("topic", ["orders", "payments2", "billing", "payment"])
def test_a_topic_that_is_not_its_own_is_forbidden(billing: APIClient, topic: str) -> None:
    answer = prepare(billing, topic=topic)
    assert (answer.status_code, answer.json()["code"]) == (403, "topic_forbidden")
    assert not HalfMessage.objects.exists()


def test_a_star_ends_the_beginning_of_topics(billing: APIClient) -> None:
    assert prepare(billing, topic="billing.refunds").status_code == 201


def test_a_topic_that_was_taken_away_meanwhile_cannot_be_committed_to(billing: APIClient) -> None:
    prepare(billing)
    Producer.objects.update(topics=["other"])
    assert decide(billing, "commit").status_code == 403
    assert decide(billing, "rollback").status_code == 200


def test_a_producer_sees_and_decides_its_own_half_messages_only(billing: APIClient, sign_in_as: SignIn) -> None:
    pk = prepare(billing).json()["id"]
    other = sign_in_as("other")
    assert other.get(f"{HALVES}{pk}/").status_code == 404
    assert decide(other, "commit", pk).status_code == decide(other, "rollback", pk).status_code == 404
    assert HalfMessage.objects.get().state == HalfState.PREPARED
    assert billing.get(f"{HALVES}{pk}/").json()["state"] == "prepared"


def test_a_half_message_of_this_project_is_nobodys(billing: APIClient) -> None:
    prepare(billing)
    HalfMessage.objects.update(producer="")
    assert decide(billing, "commit").status_code == 404


@pytest.mark.parametrize("pk", ["0", "x", "²", "9" * 30, "-1"])
def test_what_is_not_there_is_not_found(billing: APIClient, pk: str) -> None:
    assert billing.get(f"{HALVES}{pk}/").status_code == 404


def test_who_is_not_signed_in_is_refused(db: None) -> None:
    answer = JsonClient().post(HALVES, MESSAGE)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_authenticated")


def test_a_superuser_is_no_producer(root: APIClient) -> None:
    answer = prepare(root)
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


def test_an_inactive_producer_may_do_nothing(billing: APIClient) -> None:
    pk = prepare(billing).json()["id"]
    Producer.objects.update(is_active=False)
    assert [prepare(billing).status_code, decide(billing, "commit", pk).status_code] == [403, 403]


def test_a_session_alone_without_its_token_against_forgery_is_refused(billing: APIClient) -> None:
    strict = JsonClient(enforce_csrf_checks=True)
    strict.force_login(Producer.objects.get().user)
    assert prepare(strict).status_code == 403
    assert not HalfMessage.objects.exists()


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_there_is_no_list_and_nothing_is_changed_or_deleted(billing: APIClient, method: str) -> None:
    pk = prepare(billing).json()["id"]
    assert getattr(billing, method)(HALVES).status_code == 405
    if method != "get":
        assert getattr(billing, method)(f"{HALVES}{pk}/").status_code == 405


@pytest.mark.parametrize("verb", ["commit", "rollback"])
def test_nothing_is_decided_by_looking(billing: APIClient, verb: str) -> None:
    pk = prepare(billing).json()["id"]
    assert billing.get(f"{HALVES}{pk}/{verb}/").status_code == 405


@pytest.mark.parametrize("path", ["", "1/commit/"])
def test_a_query_string_is_refused(billing: APIClient, path: str) -> None:
    answer = billing.post(f"{HALVES}{path}?topic=payments", MESSAGE)
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_parameter")


@pytest.mark.parametrize("data", [b"[]", b"1", b'{"a": 1}', b"{"])
def test_a_decision_takes_no_fields(billing: APIClient, data: bytes) -> None:
    pk = prepare(billing).json()["id"]
    answer = billing.generic("POST", f"{HALVES}{pk}/commit/", data, content_type="application/json")
    assert answer.status_code == 400
    assert HalfMessage.objects.get().state == HalfState.PREPARED


@pytest.mark.parametrize(
    "data", [b"null", b"NaN", b"\xff", b'{"topic": "\\ud800", "body": {}}', b"[" * 100_000, b'{"topic": "a\\u0000"}']
)
def test_garbage_is_refused(billing: APIClient, data: bytes) -> None:
    answer = billing.generic("POST", HALVES, data, content_type="application/json")
    assert answer.status_code == 400, answer.content
    assert answer.json()["code"]


def test_neither_the_body_nor_the_names_of_people_are_in_an_answer(billing: APIClient) -> None:
    prepare(billing, body={"note": "hunter2"})
    HalfMessage.objects.get().rollback(by=DecidedBy.PERSON, actor_name="ann", reason="looks odd")
    text = json.dumps(billing.get(f"{HALVES}{HalfMessage.objects.get().pk}/").json())
    assert not [word for word in ("hunter2", "ann", "odd") if word in text]


@pytest.mark.django_db(transaction=True)
def test_with_atomic_requests_too_it_is_durable_before_the_answer(
    sign_in_as: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = sign_in_as()
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    answer = prepare(client)
    assert (answer.status_code, decide(client, "commit").status_code) == (201, 200), answer.json()
