"""What a producer tells: a message, and when to ask about it. Fields that do not exist are errors."""

from datetime import timedelta
from typing import Any, Final

from django.utils.translation import gettext as _
from rest_framework import serializers

from django_dlq.api.requests import PairField, StrictSerializer, WithBody
from django_dlq.exceptions import LONGEST_DELAY
from django_dlq.message import Message

TIMES: Final[tuple[str, ...]] = ("check_after", "check_every", "most_checks")


class SecondsField(serializers.FloatField):
    """A span of time in seconds."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=LONGEST_DELAY.total_seconds(), **kwargs)


class TextField(serializers.CharField):
    """Any text, every space of it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_blank=True, trim_whitespace=False, **kwargs)


class Nothing(StrictSerializer):
    """The body of commit and rollback: none, or {}."""


class Prepare(WithBody):
    """The body of prepare: the arguments of `outbox.prepare`, but for the checker, which is the producer's URL."""

    topic = TextField()
    key = TextField(required=False, allow_null=True, help_text="messages of one key keep their order")
    message_key = TextField(required=False, allow_null=True, help_text="by which handlers know a duplicate")
    tag = TextField(required=False)
    headers = serializers.ListField(child=PairField(), required=False, help_text="[name, value] pairs")
    priority = serializers.IntegerField(required=False, min_value=0, max_value=9)
    delay = SecondsField(required=False, help_text="seconds from the commit before which it is not sent")
    expires_in = SecondsField(required=False, help_text="seconds from the commit after which it is not sent")
    broker = TextField(required=False)
    check_after = SecondsField(required=False, help_text="seconds before the first check")
    check_every = SecondsField(required=False, help_text="seconds from one check to the next")
    most_checks = serializers.IntegerField(required=False, min_value=1, max_value=1_000_000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments for `producers.prepare`."""
        told = super().validate(attrs)
        if "body" not in told:
            raise serializers.ValidationError({"body": [_("This field is required.")]}, code="required")
        for name in ("delay", "expires_in", "check_after", "check_every"):
            if name in told:
                told[name] = timedelta(seconds=told[name])
        times = {name: told.pop(name) for name in TIMES if name in told}
        return {"message": Message(**told), **times}
