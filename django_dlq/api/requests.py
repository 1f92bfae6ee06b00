"""What the verbs are told. Fields that do not exist are errors: a misspelt `body` would replay the old one."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.request import Request

from django_dlq.encoding import encode_headers
from django_dlq.exceptions import DlqError, ReasonRequired
from django_dlq.message import RESERVED, Headers, readable
from django_dlq.models import DeadLetter

BODIES: Final = ("body", "body_text", "body_base64")


class ReasonField(serializers.CharField):
    """A reason that must be given."""

    def fail(self, key: str, **kwargs: Any) -> Any:
        """Raise ReasonRequired where there is none."""
        if key in ("required", "null", "blank"):
            raise ReasonRequired(str(_("Say why; the reason stays in the letter's timeline.")))
        super().fail(key, **kwargs)


class PairField(serializers.ListField):
    """One header: [name, value], the value text or null."""

    def __init__(self, **kwargs: Any) -> None:
        text = serializers.CharField(allow_null=True, allow_blank=True, trim_whitespace=False)
        super().__init__(child=text, min_length=2, max_length=2, **kwargs)


class StrictSerializer(serializers.Serializer[Any]):
    """Take known fields only."""

    def to_internal_value(self, data: Any) -> Any:
        """Raise ValidationError for fields that do not exist."""
        if isinstance(data, Mapping) and (unknown := sorted(set(data) - set(self.fields))):
            message = _("There is no such field; there are: %(known)s.") % {"known": ", ".join(self.fields)}
            raise serializers.ValidationError({name: [message] for name in unknown}, code="unknown_field")
        return super().to_internal_value(data)


class OptionalReason(StrictSerializer):
    """The body of replay and restore."""

    reason = serializers.CharField(required=False, allow_blank=True, default="")


class Reason(StrictSerializer):
    """The body of discard."""

    reason = ReasonField()


class WithBody(StrictSerializer):
    """A message's body, in one of three ways."""

    body = serializers.JSONField(
        required=False,
        help_text="an object or a list; where every digit and space counts, send the JSON as `body_text`",
    )
    body_text = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    body_base64 = serializers.CharField(required=False, allow_blank=True, help_text="a body of any bytes")

    def validate_body(self, body: Any) -> Any:
        """Take what travels as JSON; text would have two readings."""
        if not isinstance(body, (dict, list)):
            raise serializers.ValidationError(_("This is an object or a list; send other bodies as `body_text`."))
        return body

    def validate_body_base64(self, text: str) -> bytes:
        """Decode it."""
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise serializers.ValidationError(_("This is not base64.")) from error

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return what was told, with the body under one name."""
        given = [name for name in BODIES if name in attrs]
        if len(given) > 1:
            message = _("Send only one of: %(names)s.") % {"names": ", ".join(BODIES)}
            raise serializers.ValidationError({name: [message] for name in given})
        body = {"body": attrs.pop(given[0])} if given else {}
        return attrs | body


class Edit(WithBody):
    """The body of edit: what shall be different in the copy, and why. What is left out stays as it was."""

    reason = ReasonField()
    key = serializers.CharField(
        required=False, allow_null=True, allow_blank=True, trim_whitespace=False, help_text="null: no key"
    )
    tag = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    headers = serializers.ListField(
        child=PairField(), required=False, help_text="all [name, value] pairs, in place of the present ones"
    )

    def validate_headers(self, pairs: list[list[Any]]) -> Headers:
        """Give a pair that comes back as it was shown its exact bytes, and leave out those that are set anew."""
        letter: DeadLetter = self.context["letter"]
        shown = {(name, None if value is None else readable(value)): value for name, value in letter.headers}
        own = {(name, value) for name, value in shown if name in RESERVED}
        try:
            return encode_headers(
                (name, shown.get((name, value), value)) for name, value in pairs if (name, value) not in own
            )
        except DlqError as error:
            raise serializers.ValidationError(str(error), code=error.code) from error


def read(serializer: type[StrictSerializer], request: Request, **context: Any) -> dict[str, Any]:
    """Return what the request's body says; raise ValidationError or ParseError if it cannot be meant so."""
    try:
        reader = serializer(data=request.data, context=context)
        reader.is_valid(raise_exception=True)
    except RecursionError as error:
        raise ParseError(_("The JSON is nested too deeply.")) from error
    told: dict[str, Any] = reader.validated_data
    return told
