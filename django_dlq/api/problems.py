"""Errors as problem details (RFC 9457), each with a `code` that stays the same between releases.

{"type": "about:blank", "title": "Conflict", "status": 409, "code": "illegal_transition", "detail": "…",
 "errors": [{"field": "reason", "code": "required", "detail": "…"}]}

`errors` is there only if single fields or parameters are at fault.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from django_dlq.exceptions import (
    BodyNotSerializable,
    DecidedOtherwise,
    DeskError,
    DlqError,
    HalfMessageError,
    IdempotencyKeyReused,
    IllegalTransition,
    MessageTooLarge,
    PublishError,
    ReasonRequired,
    TopicForbidden,
    UnknownHalfMessage,
)

MEDIA_TYPE = "application/problem+json"
STATUS: Mapping[type[DlqError], int] = {
    TopicForbidden: status.HTTP_403_FORBIDDEN,
    UnknownHalfMessage: status.HTTP_404_NOT_FOUND,
    IllegalTransition: status.HTTP_409_CONFLICT,
    DecidedOtherwise: status.HTTP_409_CONFLICT,
    IdempotencyKeyReused: status.HTTP_422_UNPROCESSABLE_ENTITY,
}
"""What is not simply a bad request."""
FIELDS: Mapping[type[DlqError], str] = {ReasonRequired: "reason", BodyNotSerializable: "body", MessageTooLarge: "body"}


class InvalidParameter(ValidationError):
    """A filter, or another parameter in the query string, has a value that it cannot have."""

    default_code = "invalid_parameter"


class RequestTooLarge(APIException):
    """The request has more bytes than any message could need."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "request_too_large"


class UnknownParameter(ValidationError):
    """There is no such filter: to ignore it would answer, or act on, more than was asked for."""

    default_code = "unknown_parameter"


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the problem that an error is, or None if it is nobody's fault but ours."""
    if isinstance(error, (PublishError, DeskError, HalfMessageError)):
        error = _refused(error)
    response = exception_handler(error, context)
    if response is not None:
        response.data = _problem(response.status_code, error, response.data)
    return response


def _refused(error: DlqError) -> APIException:
    detail = ErrorDetail(str(error), code=error.code)
    field = FIELDS.get(type(error))
    refused = APIException({field: [detail]} if field else detail)
    refused.default_code = error.code
    refused.status_code = next((number for kind, number in STATUS.items() if isinstance(error, kind)), 400)
    return refused


def _problem(number: int, error: Exception, data: Any) -> dict[str, Any]:
    problem: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(number).phrase, "status": number}
    if isinstance(data, dict) and isinstance(data.get("detail"), ErrorDetail):
        return problem | {"code": data["detail"].code, "detail": data["detail"]}
    errors = list(_errors(data))
    code = error.default_code if isinstance(error, APIException) else "invalid"
    detail = " ".join(f"{item['field']}: {item['detail']}" if item["field"] else item["detail"] for item in errors)
    return problem | {"code": code, "detail": detail, "errors": errors}


def _errors(data: Any, field: str = "") -> Iterator[dict[str, str]]:
    if isinstance(data, dict):
        for name, inner in data.items():
            yield from _errors(inner, _join(field, "" if name == "non_field_errors" else _writable(str(name))))
    elif isinstance(data, list):
        for place, inner in enumerate(data):
            # A list of texts holds the errors of its field; a list of others has errors item by item.
            yield from _errors(inner, field if isinstance(inner, str) else _join(field, str(place)))
    else:
        yield {"field": field, "code": getattr(data, "code", "invalid"), "detail": _writable(str(data))}


def _join(field: str, name: str) -> str:
    return f"{field}.{name}" if field and name else field or name


def _writable(text: str) -> str:
    # A client can send half a surrogate pair inside JSON; no answer could be written with it.
    return text.encode(errors="backslashreplace").decode()
