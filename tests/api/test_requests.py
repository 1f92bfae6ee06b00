"""What the verbs accept."""

import base64
import json
from typing import Any

import pytest
from django.test import override_settings
from rest_framework.test import APIClient

from django_dlq.models import DeadLetter, OutboxMessage, State
from tests.api.conftest import HEADERS, MakeLetter

pytestmark = pytest.mark.once

WHY = "the address was wrong"


def edit(client: APIClient, letter: DeadLetter, **fields: Any) -> Any:
    return client.post(f"/dlq/dead-letters/{letter.pk}/edit/", {"reason": WHY, **fields})


def post(client: APIClient, letter: DeadLetter, verb: str, data: bytes, content_type: str = "application/json") -> Any:
    return client.generic("POST", f"/dlq/dead-letters/{letter.pk}/{verb}/", data, content_type=content_type)


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ({"body": {"order": 8}}, b'{"order":8}'),
        ({"body": [1, "two"]}, b'[1,"two"]'),
        ({"body": {}}, b"{}"),
        ({"body_text": '{"price": 1.10}'}, b'{"price": 1.10}'),
        ({"body_text": " kept "}, b" kept "),
        ({"body_text": ""}, b""),
        ({"body_base64": base64.b64encode(b"\xff\x00").decode()}, b"\xff\x00"),
    ],
)
def test_a_body_can_be_sent_in_three_ways(
    root: APIClient, letter: DeadLetter, fields: dict[str, Any], body: bytes
) -> None:
    assert edit(root, letter, **fields).status_code == 202
    assert OutboxMessage.objects.get().body_bytes == body


def test_what_is_left_out_stays_as_it_was(root: APIClient, letter: DeadLetter) -> None:
    edit(root, letter, tag="fixed")
    row = OutboxMessage.objects.get()
    assert (row.tag, row.key, row.body_bytes, row.headers) == ("fixed", "7", letter.body_bytes, HEADERS[1:])


def test_a_key_can_be_taken_away(root: APIClient, letter: DeadLetter) -> None:
    assert edit(root, letter, key=None).json()["key"] is None
    assert OutboxMessage.objects.get().key is None


def test_headers_come_back_as_they_were_shown_and_lose_no_byte(root: APIClient, letter: DeadLetter) -> None:
    shown = root.get(f"/dlq/dead-letters/{letter.pk}/").json()
    headers = [*shown["system_headers"], *shown["headers"], ["fixed-by", "ann"]]
    assert edit(root, letter, headers=headers).status_code == 202
    assert OutboxMessage.objects.get().headers == (*HEADERS[1:], ("fixed-by", b"ann"))


@pytest.mark.parametrize("verb", ["edit", "discard"])
@pytest.mark.parametrize("reason", [{}, {"reason": ""}, {"reason": "  "}, {"reason": None}])
def test_a_reason_is_required(root: APIClient, letter: DeadLetter, verb: str, reason: dict[str, Any]) -> None:
    changes = {"body": {}} if verb == "edit" else {}
    answer = root.post(f"/dlq/dead-letters/{letter.pk}/{verb}/", {**reason, **changes})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["errors"][0]["field"]) == (400, "reason_required", "reason")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"body": "text"}, "body"),
        ({"body": 5}, "body"),
        ({"body": None}, "body"),
        ({"body_text": None}, "body_text"),
        ({"body_text": "a\x00b"}, "body_text"),
        ({"body_base64": "%%%"}, "body_base64"),
        ({"body_base64": "é"}, "body_base64"),
        ({"body": {}, "body_text": "{}"}, "body"),
        ({"key": "a\x00b"}, "key"),
        ({"key": ["7"]}, "key"),
        ({"tag": None}, "tag"),
        ({"headers": {"a": "b"}}, "headers"),
        ({"headers": ["ab"]}, "headers.0"),
        ({"headers": [["a"]]}, "headers.0"),
        ({"headers": [["a", "b", "c"]]}, "headers.0"),
        ({"headers": [["a", "b"], ["c", {}]]}, "headers.1.1"),
        ({"headers": [[None, "b"]]}, "headers"),
        ({"headers": [["", "b"]]}, "headers"),
        ({"headers": [["dlq-tag", "other"]]}, "headers"),
        ({"headers": [["id", "other"]]}, "headers"),
        ({"topic": "elsewhere"}, "topic"),
        ({"Body": {}}, "Body"),
    ],
)
def test_a_field_that_cannot_be_meant_is_refused_by_name(
    root: APIClient, letter: DeadLetter, fields: dict[str, Any], field: str
) -> None:
    answer = edit(root, letter, **fields)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field), answer.json()
    letter.refresh_from_db()
    assert letter.state == State.DEAD


def test_an_edit_that_changes_nothing_is_refused(root: APIClient, letter: DeadLetter) -> None:
    answer = edit(root, letter, key="7")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_message")


def test_a_tag_that_is_too_long_is_refused(root: APIClient, letter: DeadLetter) -> None:
    answer = edit(root, letter, tag="x" * 256)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_message")


@override_settings(DLQ_MAX_MESSAGE_BYTES=1000)
def test_a_message_that_is_too_large_is_refused(root: APIClient, letter: DeadLetter) -> None:
    answer = edit(root, letter, body_text="x" * 1001)
    assert (answer.status_code, answer.json()["code"]) == (400, "message_too_large")
    assert DeadLetter.objects.count() == 1


@pytest.mark.parametrize("verb", ["replay", "edit", "discard", "restore"])
@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"[1]",
        b"null",
        b"1",
        b'"reason"',
        b"{",
        b"\xff",
        b"\x00",
        b"NaN",
        b'{"reason": NaN}',
        b'{"reason": {}}',
        b'{"reason": ["a"]}',
        b'{"reason": true}',
        b'{"reason": "a\\u0000b"}',
        b'{"reason": "\\ud800"}',
        b'{"reason": "x", "body": {"a": "\\ud800"}, "key": "\\ud800"}',
        b'{"reason": "x", "headers": [["\\ud800", "a"]]}',
        b'{"reason": "x", "reasons": "y"}',
        b'{"reason": "x", "\\u0000": 1, "\\ud800": 2}',
        b'{"reason": "x", "body": ' + b"9" * 5000 + b"}",
        b'{"reason": "x", "body": [1e999]}',
        b'{"reason": "x", "body": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b"[" * 100_000,
    ],
)
def test_garbage_is_refused_and_changes_nothing(root: APIClient, letter: DeadLetter, verb: str, data: bytes) -> None:
    answer = post(root, letter, verb, data)
    assert answer.status_code == 400, answer.content
    assert answer.json()["code"]
    assert OutboxMessage.objects.count() == 0
    letter.refresh_from_db()
    assert letter.state == State.DEAD


def test_half_a_surrogate_pair_in_the_body_is_refused(root: APIClient, letter: DeadLetter) -> None:
    answer = post(root, letter, "edit", b'{"reason": "x", "body": {"a": "\\ud800"}}')
    assert (answer.status_code, answer.json()["code"]) == (400, "body_not_serializable")


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "a/b"]
)
def test_only_json_is_understood_since_a_form_cannot_leave_a_field_alone(
    root: APIClient, letter: DeadLetter, content_type: str
) -> None:
    assert post(root, letter, "replay", b"reason=x", content_type).status_code == 415


def test_digits_are_kept_in_text(root: APIClient, make_letter: MakeLetter) -> None:
    text = '{"id": 12345678901234567890, "price": 1.10, "rate": 0.1234567890123456789}'
    shown = edit(root, make_letter(), body_text=text).json()
    assert shown["body"] == text
    assert json.loads(shown["body"])["id"] == 12345678901234567890
