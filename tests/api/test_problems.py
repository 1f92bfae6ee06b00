"""Errors have one shape and stable codes."""

from typing import Any

import pytest
from rest_framework.exceptions import ErrorDetail, Throttled, ValidationError
from rest_framework.test import APIClient

from django_dlq.api import problems
from django_dlq.exceptions import (
    BodyNotSerializable,
    BrokerUnavailable,
    DlqError,
    IllegalTransition,
    InvalidMessage,
    MessageTooLarge,
    ReasonRequired,
)
from django_dlq.models import DeadLetter

pytestmark = pytest.mark.once


def problem(error: Exception) -> dict[str, Any]:
    response = problems.answer(error, {})
    assert response is not None
    assert response.status_code == response.data["status"]
    data: dict[str, Any] = response.data
    return data


@pytest.mark.parametrize(
    ("error", "number", "field"),
    [
        (IllegalTransition("late"), 409, None),
        (InvalidMessage("nothing was changed"), 400, None),
        (ReasonRequired("say why"), 400, "reason"),
        (BodyNotSerializable("a set"), 400, "body"),
        (MessageTooLarge("2 MB"), 400, "body"),
    ],
)
def test_the_desks_errors_keep_their_codes(error: DlqError, number: int, field: str | None) -> None:
    told = problem(error)
    assert (told["status"], told["code"]) == (number, error.code)
    assert str(error) in told["detail"]
    assert told.get("errors") == (field and [{"field": field, "code": error.code, "detail": str(error)}])


def test_what_is_our_own_fault_is_not_explained_away() -> None:
    assert problems.answer(BrokerUnavailable("down"), {}) is None
    assert problems.answer(KeyError("bug"), {}) is None


def test_errors_in_a_list_name_their_places() -> None:
    told = problem(ValidationError({"headers": {"1": [ErrorDetail("no pair", code="invalid")]}}))
    assert told["errors"] == [{"field": "headers.1", "code": "invalid", "detail": "no pair"}]
    assert told["detail"] == "headers.1: no pair"
    nested = problem(ValidationError({"headers": [{}, {"name": ["empty"]}]}))
    assert [item["field"] for item in nested["errors"]] == ["headers.1.name"]


def test_errors_of_the_whole_body_have_no_field() -> None:
    told = problem(ValidationError("not an object"))
    assert told["errors"] == [{"field": "", "code": "invalid", "detail": "not an object"}]


def test_a_throttled_client_is_told_when_to_come_back() -> None:
    response = problems.answer(Throttled(wait=7), {})
    assert response is not None
    assert (response["Retry-After"], response.data["code"]) == ("7", "throttled")


def test_a_problem_has_its_media_type(root: APIClient, letter: DeadLetter) -> None:
    answer = root.get("/dlq/dead-letters/0/")
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": "not_found",
        "detail": "No DeadLetter matches the given query.",
    }
