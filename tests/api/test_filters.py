"""Filters are obeyed to the letter, or refused."""

from datetime import UTC, datetime, timedelta

import pytest
from rest_framework.test import APIClient

from django_dlq.models import DeadLetter, OutboxMessage, Source, State
from tests.api.conftest import MakeLetter

LETTERS = "/dlq/dead-letters/"


def found(client: APIClient, query: dict[str, object] | str, path: str = LETTERS) -> set[int]:
    answer = client.get(f"{path}?{query}") if isinstance(query, str) else client.get(path, query)
    assert answer.status_code == 200, answer.content
    return {int(line["id"]) for line in answer.json()["results"]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", State.RETRYING),
        ("source", Source.RELAY),
        ("broker", "other"),
        ("topic", "invoices"),
        ("group", "billing"),
        ("handler", "shop.handlers.bill"),
        ("error_class", "KeyError"),
        ("fingerprint", "0" * 32),
        ("message_key", "order-77"),
        ("message_id", "m-77"),
        ("key", "seven "),
        ("tag", "paid"),
        ("release", "2.0"),
        ("dependency", "logistics"),
    ],
)
def test_a_filter_finds_those_and_no_others(root: APIClient, make_letter: MakeLetter, name: str, value: str) -> None:
    wanted = make_letter(**{name: value})
    make_letter()
    assert found(root, {name: value}) == {wanted.pk}


def test_a_filter_compares_every_character(root: APIClient, make_letter: MakeLetter) -> None:
    make_letter(topic="Orders")
    exact = make_letter(topic="orders")
    assert found(root, {"topic": "orders"}) == {exact.pk}
    assert found(root, {"topic": " orders"}) == set()


def test_letters_that_hold_their_keys_are_found_and_the_others_too(root: APIClient, make_letter: MakeLetter) -> None:
    holding, other = make_letter(key="7", holds_key=True), make_letter()
    assert found(root, {"holds_key": "true"}) == {holding.pk}
    assert found(root, {"holds_key": "false"}) == {other.pk}
    assert found(root, "") == {holding.pk, other.pk}
    assert root.get(f"{LETTERS}{holding.pk}/").json()["holds_key"] is True
    assert root.get(f"{LETTERS}?holds_key=false").json()["results"][0]["holds_key"] is False


@pytest.mark.parametrize("word", ["1", "yes", "True", "unknown"])
def test_whether_a_key_is_held_is_true_or_false_and_nothing_else(root: APIClient, word: str) -> None:
    answer = root.get(LETTERS, {"holds_key": word})
    assert answer.status_code == 400
    assert "This is true or false." in answer.content.decode()


def test_several_states_are_alternatives(root: APIClient, make_letter: MakeLetter) -> None:
    dead, gone = make_letter(), make_letter(state=State.DISCARDED)
    make_letter(state=State.RESOLVED)
    assert found(root, "state=dead&state=discarded") == {dead.pk, gone.pk}


def test_filters_narrow_each_other(root: APIClient, make_letter: MakeLetter) -> None:
    both = make_letter(topic="a", group="b")
    make_letter(topic="a")
    make_letter(group="b")
    assert found(root, {"topic": "a", "group": "b"}) == {both.pk}


def test_attempts_are_filtered_by_their_least_number(root: APIClient, make_letter: MakeLetter) -> None:
    make_letter(attempts=2)
    often = make_letter(attempts=3)
    assert found(root, {"attempts__gte": 3}) == {often.pk}
    assert found(root, {"attempts__gte": 2**63 - 1}) == set()


def test_copies_are_found_by_what_they_correct(root: APIClient, make_letter: MakeLetter) -> None:
    original = make_letter(state=State.RESOLVED)
    copy = make_letter(corrects=original)
    assert found(root, {"corrects": original.pk}) == {copy.pk}
    assert found(root, {"corrects": copy.pk}) == set()


def test_failed_after_includes_its_moment_and_failed_before_does_not(root: APIClient, make_letter: MakeLetter) -> None:
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    early, late = make_letter(last_failed_at=noon), make_letter(last_failed_at=noon + timedelta(seconds=1))
    assert found(root, {"failed_after": "2026-11-01T12:00:01Z"}) == {late.pk}
    assert found(root, {"failed_before": "2026-11-01T12:00:01Z"}) == {early.pk}
    assert found(root, {"failed_after": "2026-11-01T13:00:00+01:00"}) == {early.pk, late.pk}


def test_the_outbox_is_filtered(root: APIClient) -> None:
    rows = [OutboxMessage.objects.create(message_id=name, message_key=name, topic=name, key=name) for name in "ab"]
    for name in ("message_id", "message_key", "topic", "key"):
        assert found(root, {name: "b"}, "/dlq/outbox/") == {rows[1].pk}
    assert found(root, {"created_before": "2020-01-01T00:00:00Z"}, "/dlq/outbox/") == set()
    assert found(root, {"created_after": "2020-01-01T00:00:00Z"}, "/dlq/outbox/") == {row.pk for row in rows}


def test_the_history_is_filtered(root: APIClient) -> None:
    rows = [OutboxMessage.objects.create(message_id=name, message_key=name, topic=name, key=name) for name in "ab"]
    OutboxMessage.objects.complete([(row.pk, None, None) for row in rows])
    (wanted,) = found(root, {"topic": "b", "published_after": "2020-01-01T00:00:00Z"}, "/dlq/published/")
    assert found(root, {"message_id": "b"}, "/dlq/published/") == {wanted}
    assert found(root, {"published_before": "2020-01-01T00:00:00Z"}, "/dlq/published/") == set()


@pytest.mark.parametrize("path", [LETTERS, "/dlq/outbox/", "/dlq/published/"])
def test_an_unknown_filter_is_refused_by_name(root: APIClient, path: str) -> None:
    answer = root.get(path, {"topics": "orders"})
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "unknown_parameter")
    assert problem["errors"][0]["field"] == "topics"
    for known in ("topic", "message_key", "cursor", "page_size"):
        assert known in problem["detail"]


@pytest.mark.parametrize("verb", ["", "replay/", "edit/", "discard/", "restore/"])
def test_a_single_letter_takes_no_filters(root: APIClient, letter: DeadLetter, verb: str) -> None:
    path = f"{LETTERS}{letter.pk}/{verb}?state=dead"
    answer = root.post(path, {"reason": "x"}) if verb else root.get(path)
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_parameter")
    letter.refresh_from_db()
    assert letter.state == State.DEAD


@pytest.mark.parametrize(
    "query",
    [
        "state=deadd",
        "state=dead&state=nonsense",
        "source=broker",
        "topic=",
        "topic=a&topic=b",
        "topic=%00",
        "key=a%00b",
        "attempts__gte=two",
        "attempts__gte=-1",
        "attempts__gte=1.5",
        "attempts__gte=NaN",
        "attempts__gte=1e400",
        "attempts__gte=" + "9" * 5000,
        "attempts__gte=99999999999999999999",
        "corrects=99999999999999999999",
        "corrects=abc",
        "failed_after=yesterday",
        "failed_after=2026-13-01T00:00:00Z",
        "failed_after=2026-01-01T00:00:00+00:00",
        "failed_after=0001-01-01T00:00:00%2B14:00",
        "failed_before=9999-12-31T23:59:59-14:00",
        "page_size=0",
        "page_size=-1",
        "page_size=201",
        "page_size=ten",
        "page_size=" + "9" * 5000,
        "cursor=",
        "cursor=nonsense",
        "cursor=%FF",
        "cursor=cD1hYmM%3D",  # p=abc
        "cursor=cD0x4pyT",
        "cursor=bz14",  # o=x
        "cursor=cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5",  # p=99999999999999999999…
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(root: APIClient, letter: DeadLetter, query: str) -> None:
    answer = root.get(f"{LETTERS}?{query}")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "invalid_parameter"), problem
    assert query.startswith(problem["errors"][0]["field"])
    assert problem["errors"][0]["detail"]


def test_a_wrong_state_is_told_the_right_ones(root: APIClient) -> None:
    detail = root.get(LETTERS, {"state": "gone"}).json()["detail"]
    assert detail == "state: gone is not one of: retrying, dead, replaying, parked, resolved, discarded, compensated"


@pytest.mark.parametrize(
    "query",
    [
        "%00=1",
        "=",
        "=1",
        "&&&",
        "a[]=1",
        "%FF%FE=1",
        "state__in=dead",
        "ordering=body",
        "q=x",
        "format=csv",
        "failed_before=0001-01-01T00:00:00",
        "failed_after=9999-12-31T23:59:59",
    ],
)
def test_garbage_is_never_an_error_of_ours(root: APIClient, letter: DeadLetter, query: str) -> None:
    assert root.get(f"{LETTERS}?{query}").status_code in (200, 400, 404)


def test_the_format_may_be_chosen_as_everywhere_in_rest_framework(root: APIClient, letter: DeadLetter) -> None:
    assert found(root, {"format": "json"}) == {letter.pk}
