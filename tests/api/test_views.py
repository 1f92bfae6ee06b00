"""The endpoints: what they show, what they do, and what they leave alone."""

from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient, APIRequestFactory

from django_dlq import deadletters
from django_dlq.api.views import DeadLetterViewSet
from django_dlq.models import DeadLetter, DeadLetterEvent, Kind, OutboxMessage, PublishedMessage, State
from tests.api.conftest import HEADERS, MakeLetter, SignIn

LETTERS = "/dlq/dead-letters/"


def url(letter: DeadLetter, verb: str = "") -> str:
    return f"{LETTERS}{letter.pk}/{verb}{'/' if verb else ''}"


def writes_during(client: APIClient, path: str) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in queries if not query["sql"].startswith(("SELECT", "SET", "SHOW"))]


def test_the_list_has_one_lean_line_per_letter(root: APIClient, letter: DeadLetter) -> None:
    answer = root.get(LETTERS)
    assert answer.status_code == 200
    (line,) = answer.json()["results"]
    assert line["id"] == str(letter.pk)
    assert (line["state"], line["topic"], line["error_summary"]) == ("dead", "orders", "no such box")
    assert not {"body", "headers", "traceback", "error_message", "timeline"} & set(line)


def test_the_list_gives_only_the_beginning_of_a_long_error(root: APIClient, make_letter: MakeLetter) -> None:
    make_letter(error_message="x" * 5000)
    (line,) = root.get(LETTERS).json()["results"]
    assert line["error_summary"] == "x" * 300


def test_the_list_asks_as_many_questions_for_many_letters_as_for_one(root: APIClient, make_letter: MakeLetter) -> None:
    counts = []
    for number in (1, 12):
        for _ in range(number):
            make_letter()
        with CaptureQueriesContext(connection) as queries:
            assert root.get(LETTERS).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] == 3  # session, user, letters


def test_the_list_never_reads_bodies_or_tracebacks(root: APIClient, letter: DeadLetter) -> None:
    with CaptureQueriesContext(connection) as queries:
        root.get(LETTERS)
    (select,) = [query["sql"] for query in queries if "deadletter" in query["sql"]]
    assert "traceback" not in select
    assert "body" not in select
    assert "COUNT(" not in select.upper()


def test_a_letter_is_shown_with_all_that_is_known(root: APIClient, letter: DeadLetter) -> None:
    shown = root.get(url(letter)).json()
    assert shown["id"] == str(letter.pk)
    assert shown["body"] == '{"order": 7, "email": "ann@example.org", "price": 1.10}'
    assert (shown["body_kind"], shown["body_encoding"], shown["body_masked"]) == ("json", "text", False)
    assert shown["body_size"] == len(shown["body"])
    assert shown["headers"] == [["trace", "a"], ["trace", "b"], ["api-key", "hunter2"], ["blob", "\\xff\\x00"],
                                ["none", None]]  # fmt: skip
    assert shown["system_headers"] == [["id", "m-7"]]
    assert shown["traceback"] == letter.traceback
    assert shown["first_failed_at"].endswith("Z")
    assert [(event["kind"], event["actor"]) for event in shown["timeline"]] == [("failed", "consumer")]
    assert shown["verbs"] == ["replay", "edit", "discard"]


def test_secrets_are_masked_without_the_permission_to_see_them(sign_in: SignIn, letter: DeadLetter) -> None:
    answer = sign_in("view_deadletter").get(url(letter))
    shown = answer.json()
    assert shown["body"] == '{"order": 7, "email": "•••", "price": 1.10}'
    assert shown["body_masked"] is True
    assert ["api-key", "•••"] in shown["headers"]
    assert shown["verbs"] == []
    assert "hunter2" not in answer.content.decode()
    assert "ann@example.org" not in answer.content.decode()


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (None, ("absent", "text", None)),
        (b"", ("empty", "text", "")),
        (b"plain", ("text", "text", "plain")),
        (b"\xffraw", ("binary", "escaped", "\\xffraw")),
    ],
)
def test_a_body_that_is_not_json_is_shown_for_what_it_is(
    root: APIClient, make_letter: MakeLetter, body: bytes | None, shown: tuple[str, str, str | None]
) -> None:
    page = root.get(url(make_letter(body=body))).json()
    assert (page["body_kind"], page["body_encoding"], page["body"]) == shown


def test_a_body_of_which_nobody_can_tell_the_secret_part_is_hidden(sign_in: SignIn, make_letter: MakeLetter) -> None:
    shown = sign_in("view_deadletter").get(url(make_letter(body=b"password is hunter2"))).json()
    assert (shown["body"], shown["body_masked"]) == (None, True)


def test_exact_bytes_are_given_as_base64_to_those_who_may_see_them(root: APIClient, make_letter: MakeLetter) -> None:
    shown = root.get(url(make_letter(body=b"\xff\x00")), {"encoding": "base64"}).json()
    assert (shown["body"], shown["body_encoding"], shown["body_kind"]) == ("/wA=", "base64", "binary")


def test_a_body_that_is_absent_is_absent_in_base64_too(root: APIClient, make_letter: MakeLetter) -> None:
    shown = root.get(url(make_letter(body=None)), {"encoding": "base64"}).json()
    assert (shown["body"], shown["body_encoding"], shown["body_kind"]) == (None, "base64", "absent")


def test_an_encoding_that_does_not_exist_is_refused(root: APIClient, letter: DeadLetter) -> None:
    answer = root.get(url(letter), {"encoding": "hex"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
    assert answer.json()["detail"] == "encoding: This is one of: text, base64."


def test_exact_bytes_are_refused_to_others(sign_in: SignIn, letter: DeadLetter) -> None:
    answer = sign_in("view_deadletter").get(url(letter), {"encoding": "base64"})
    assert answer.status_code == 403
    assert "unmask_deadletter" in answer.json()["detail"]


def test_deeply_nested_json_is_shown(root: APIClient, sign_in: SignIn, make_letter: MakeLetter) -> None:
    deep = make_letter(body=b"[" * 900 + b"]" * 900)
    assert root.get(url(deep)).json()["body"] == "[" * 900 + "]" * 900
    assert sign_in("view_deadletter").get(url(deep)).status_code == 200


def test_json_with_half_a_surrogate_pair_is_shown(root: APIClient, sign_in: SignIn, make_letter: MakeLetter) -> None:
    broken = make_letter(body=rb'{"name": "\ud800", "email": "ann@example.org"}')
    assert root.get(url(broken)).json()["body"] == r'{"name": "\ud800", "email": "ann@example.org"}'
    assert sign_in("view_deadletter").get(url(broken)).json()["body"] == r'{"name": "\ud800", "email": "•••"}'


def test_reading_never_writes(root: APIClient, letter: DeadLetter) -> None:
    for path in (LETTERS, url(letter), "/dlq/outbox/", "/dlq/published/"):
        assert writes_during(root, path) == []


def test_replay_sends_the_message_again_and_answers_with_the_letter(root: APIClient, letter: DeadLetter) -> None:
    answer = root.post(url(letter, "replay"), {"reason": "logistics is back"})
    assert answer.status_code == 202
    assert (answer.json()["id"], answer.json()["state"]) == (str(letter.pk), "replaying")
    row = OutboxMessage.objects.get()
    assert (row.letter_id, row.group, row.message_id) == (letter.pk, "shipping", letter.message_id)
    event = DeadLetterEvent.objects.get(kind=Kind.REPLAYED)
    assert (event.actor_name, event.reason) == ("root", "logistics is back")


def test_replay_needs_no_body_at_all(root: APIClient, letter: DeadLetter) -> None:
    assert root.post(url(letter, "replay")).status_code == 202


def test_edit_answers_with_the_copy_and_says_where_it_is(root: APIClient, letter: DeadLetter) -> None:
    answer = root.post(url(letter, "edit"), {"reason": "wrong box", "body": {"order": 8}, "tag": "fixed"})
    copy = DeadLetter.objects.get(corrects=letter)
    assert answer.status_code == 202
    assert answer["Location"] == f"http://testserver{url(copy)}"
    assert (answer.json()["id"], answer.json()["corrects"]) == (str(copy.pk), str(letter.pk))
    assert (answer.json()["body"], answer.json()["tag"]) == ('{"order":8}', "fixed")
    letter.refresh_from_db()
    assert letter.state == State.RESOLVED
    original = root.get(url(letter)).json()
    assert original["corrected_by"] == [str(copy.pk)]
    assert original["timeline"][-1]["data"]["copy"] == str(copy.pk)


def test_discard_and_restore_are_there_and_back(root: APIClient, letter: DeadLetter) -> None:
    gone = root.post(url(letter, "discard"), {"reason": "a test message"})
    assert (gone.status_code, gone.json()["state"], gone.json()["verbs"]) == (202, "discarded", ["restore"])
    back = root.post(url(letter, "restore"))
    assert (back.status_code, back.json()["state"]) == (202, "dead")
    assert [event["kind"] for event in back.json()["timeline"]] == ["failed", "discarded", "restored"]


def test_of_two_who_act_one_is_told_that_it_is_too_late(root: APIClient, letter: DeadLetter) -> None:
    assert root.post(url(letter, "replay")).status_code == 202
    late = root.post(url(letter, "discard"), {"reason": "too late"})
    assert (late.status_code, late.json()["code"]) == (409, "illegal_transition")
    assert DeadLetterEvent.objects.filter(kind=Kind.DISCARDED).count() == 0


@pytest.mark.parametrize(
    "pk", ["0", "99999999999999999999", "9" * 5000, "-1", "1_0", "%00", "abc", "\u0661", "1e3", "%20", "a%2Fb"]
)
@pytest.mark.parametrize("verb", ["", "replay/"])
def test_an_id_that_is_nobodys_is_not_found(root: APIClient, letter: DeadLetter, pk: str, verb: str) -> None:
    path = f"{LETTERS}{pk}/{verb}"
    assert (root.post(path) if verb else root.get(path)).status_code == 404


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_letters_cannot_be_written_past_the_desk(root: APIClient, letter: DeadLetter, method: str) -> None:
    answer = getattr(root, method)(url(letter), {})
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


class ReadsElsewhere:
    """A router as projects with a replica have one."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        return "replica"

    def db_for_write(self, model: type[Model], **hints: Any) -> str:
        return "default"


@override_settings(DATABASE_ROUTERS=[ReadsElsewhere()])
@pytest.mark.parametrize(("method", "action"), [("GET", "list"), ("GET", "retrieve"), ("POST", "edit")])
def test_letters_are_read_where_they_are_written(method: str, action: str) -> None:
    view = DeadLetterViewSet()
    view.request, view.action = APIRequestFactory().generic(method, "/"), action
    assert view.get_queryset().db == "default"


def test_a_letter_that_was_read_from_a_replica_is_changed_where_it_is_written(letter: DeadLetter) -> None:
    letter._state.db = "replica"
    with override_settings(DATABASE_ROUTERS=[ReadsElsewhere()]):
        deadletters.discard(letter, actor="ann", reason="a test message")
    assert letter.state == State.DISCARDED


def test_a_verb_is_never_carried_out_by_get(root: APIClient, letter: DeadLetter) -> None:
    assert root.get(url(letter, "replay")).status_code == 405
    assert OutboxMessage.objects.count() == 0


def test_the_outbox_is_listed(root: APIClient) -> None:
    row = OutboxMessage.objects.create(message_id="m", message_key="k", topic="orders", headers=HEADERS, body=b"{}")
    (line,) = root.get("/dlq/outbox/").json()["results"]
    assert (line["id"], line["topic"], line["message_key"], line["letter_id"]) == (str(row.pk), "orders", "k", None)
    assert not {"body", "headers"} & set(line)


def test_the_history_is_listed(root: APIClient, letter: DeadLetter) -> None:
    row = OutboxMessage.objects.create(message_id="m", message_key="k", topic="orders", letter_id=letter.pk, body=b"{}")
    OutboxMessage.objects.complete([(row.pk, 2, 40)])
    published = PublishedMessage.objects.get()
    (line,) = root.get("/dlq/published/").json()["results"]
    assert (line["id"], line["outbox_id"], line["letter_id"]) == (str(published.pk), str(row.pk), str(letter.pk))
    assert (line["partition"], line["offset"]) == (2, 40)


@pytest.mark.parametrize("path", [LETTERS, "/dlq/outbox/", "/dlq/published/"])
def test_the_browsable_api_works(root: APIClient, letter: DeadLetter, path: str) -> None:
    assert root.get(path, headers={"accept": "text/html"}).status_code == 200
    assert root.get(f"{path}?nonsense=1", headers={"accept": "text/html"}).status_code == 400
    assert root.options(path).status_code == 200


def test_a_format_that_nobody_can_write_is_a_problem_too(root: APIClient) -> None:
    answer = root.get(LETTERS, headers={"accept": "text/csv"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


@pytest.mark.parametrize("verb", ["replay", "edit", "discard", "restore"])
def test_the_browsable_api_offers_the_verbs(root: APIClient, letter: DeadLetter, verb: str) -> None:
    page = root.get(url(letter, verb), headers={"accept": "text/html"})
    assert page.status_code == 405
    assert b'name="_content"' in page.content


def test_times_are_in_utc_whatever_the_project_shows(root: APIClient, letter: DeadLetter, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    settings.REST_FRAMEWORK = {"DATETIME_FORMAT": "%d.%m.%Y"}
    (line,) = root.get(LETTERS).json()["results"]
    assert line["last_failed_at"].startswith(f"{letter.last_failed_at:%Y-%m-%dT%H:%M:%S}")
    assert line["last_failed_at"].endswith("Z")


def test_a_letter_says_what_it_waits_for_and_how_many_wait_for_it(root: APIClient, make_letter: MakeLetter) -> None:
    first = make_letter(order_key="o")
    second, _third = [make_letter(state=State.PARKED, order_key="o", error_class="") for _ in range(2)]
    DeadLetterEvent.objects.note(second, Kind.PARKED, actor="consumer", data={"behind": first.pk})

    shown = root.get(url(first)).json()
    assert (shown["parked_behind"], shown["parked_count"]) == (None, 2)
    shown = root.get(url(second)).json()
    assert (shown["parked_behind"], shown["parked_count"], shown["verbs"]) == (str(first.pk), 1, ["discard"])
    assert shown["timeline"][-1]["data"] == {"behind": str(first.pk)}
    assert [line["id"] for line in root.get(LETTERS, {"state": "parked"}).json()["results"]] == [
        str(pk) for pk in DeadLetter.objects.filter(state=State.PARKED).order_by("-pk").values_list("pk", flat=True)
    ]
