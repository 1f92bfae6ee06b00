"""What drf-spectacular cannot see for itself; imported by urls.py only where it is installed."""

from typing import Any

from drf_spectacular.extensions import OpenApiViewExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import serializers

from django_dlq.api import requests
from django_dlq.api.half_messages import IDEMPOTENCY_KEY
from django_dlq.api.half_requests import Prepare
from django_dlq.api.half_serializers import HalfMessageSerializer
from django_dlq.api.problems import MEDIA_TYPE
from django_dlq.api.serializers import DeadLetterDetailSerializer
from django_dlq.api.views import ENCODINGS


class ProblemErrorSerializer(serializers.Serializer[Any]):
    """One field or parameter that is at fault."""

    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """A problem (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="stays the same between releases")
    detail = serializers.CharField()
    errors = ProblemErrorSerializer(many=True, required=False)  # type: ignore[assignment]


class MessageView(OpenApiViewExtension):
    """Describe the lists."""

    target_class: Any = "django_dlq.api.views.MessageViewSet"
    match_subclasses = True

    def view_replacement(self) -> Any:
        """Return the view with its pages and problems."""
        rows = _answer(200, self.target.serializer_class(many=True), "one page")
        described = extend_schema_view(list=extend_schema(responses=rows | _problems(400, 401, 403)))
        return described(type(f"Described{self.target.__name__}", (self.target,), {}))


class DeadLetterView(MessageView):
    """Describe the dead letters' list, details and verbs."""

    target_class = "django_dlq.api.views.DeadLetterViewSet"
    priority = 1

    def view_replacement(self) -> Any:
        """Return the view with its requests, responses and problems."""
        encoding = OpenApiParameter("encoding", enum=ENCODINGS, description="base64 needs the permission to unmask")
        letter = _answer(200, DeadLetterDetailSerializer, "the letter")
        described = extend_schema_view(
            retrieve=extend_schema(parameters=[ID, encoding], responses=letter | _problems(400, 401, 403, 404)),
            replay=_verb(requests.OptionalReason),
            edit=_verb(requests.Edit),
            discard=_verb(requests.Reason),
            restore=_verb(requests.OptionalReason),
        )
        return described(super().view_replacement())


class HalfMessageView(OpenApiViewExtension):
    """Describe what producers may do."""

    target_class: Any = "django_dlq.api.half_messages.HalfMessageViewSet"

    def view_replacement(self) -> Any:
        """Return the view with its requests, responses and problems."""
        key = OpenApiParameter(IDEMPOTENCY_KEY, OpenApiTypes.STR, OpenApiParameter.HEADER, description="to ask again")
        half = _answer(200, HalfMessageSerializer, "the half message as it is now")
        new = _answer(201, HalfMessageSerializer, "a new half message")
        prepared = half | new | _problems(400, 401, 403, 413, 422)
        decided = extend_schema(parameters=[ID], request=None, responses=half | _problems(400, 401, 403, 404, 409))
        described = extend_schema_view(
            create=extend_schema(parameters=[key], request=Prepare, responses=prepared),
            retrieve=extend_schema(parameters=[ID], responses=half | _problems(400, 401, 403, 404)),
            commit=decided,
            rollback=decided,
        )
        return described(type("DescribedHalfMessageViewSet", (self.target,), {}))


ID = OpenApiParameter("id", OpenApiTypes.STR, OpenApiParameter.PATH)


def _verb(request: type[requests.StrictSerializer]) -> Any:
    accepted = _answer(202, DeadLetterDetailSerializer, "the letter as it is now")
    responses = accepted | _problems(400, 401, 403, 404, 409)
    return extend_schema(parameters=[ID], request=request, responses=responses, filters=False)


def _answer(number: int, serializer: Any, description: str) -> dict[tuple[int, str], Any]:
    return {(number, "application/json"): OpenApiResponse(serializer, description=description)}


def _problems(*numbers: int) -> dict[tuple[int, str], Any]:
    return {(number, MEDIA_TYPE): ProblemSerializer for number in numbers}
