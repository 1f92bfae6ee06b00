"""Rows as JSON. Ids are text, since JavaScript's numbers end at 2 to the power of 53; times are ISO 8601 in UTC."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.db import models
from rest_framework import ISO_8601, serializers

from django_dlq.message import RESERVED, exact
from django_dlq.models import (
    DeadLetter,
    DeadLetterEvent,
    OutboxMessage,
    PublishedMessage,
    count_parked,
    letter_before,
)
from django_dlq.payload import describe, describe_headers

Pairs = list[tuple[str, str | None]]

LETTERS = ("copy", "original", "behind", "after")
"""What names another letter in the data of a timeline."""

MESSAGE = ("id", "message_id", "message_key", "broker", "topic", "key", "tag")


class TimeField(serializers.DateTimeField):
    """ISO 8601 in UTC, whatever format the project's own APIs use."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format=ISO_8601, default_timezone=UTC, **kwargs)


class RowSerializer(serializers.ModelSerializer[Any]):
    """A row that is only read."""

    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: TimeField,
    }

    id = serializers.CharField(source="pk", read_only=True)


class OutboxMessageSerializer(RowSerializer):
    """A message that waits to be sent."""

    letter_id = serializers.CharField(read_only=True, allow_null=True)

    class Meta:
        model = OutboxMessage
        fields = (*MESSAGE, "priority", "due_at", "expires_at", "created_at", "letter_id", "group")
        read_only_fields = fields


class PublishedMessageSerializer(RowSerializer):
    """A message that the broker has confirmed, and where it lies there."""

    outbox_id = serializers.CharField(read_only=True)
    letter_id = serializers.CharField(read_only=True, allow_null=True)

    class Meta:
        model = PublishedMessage
        fields = (*MESSAGE, "priority", "partition", "offset", "created_at", "published_at", "outbox_id", "letter_id",
                  "group")  # fmt: skip
        read_only_fields = fields


class DeadLetterSerializer(RowSerializer):
    """What the list and the details of dead letters share."""

    corrects = serializers.CharField(source="corrects_id", read_only=True, allow_null=True)

    class Meta:
        model = DeadLetter
        fields: tuple[str, ...] = (
            *MESSAGE, "state", "source", "group", "handler", "partition", "offset", "sent_at", "error_class",
            "fingerprint", "dependency", "release", "holds_key", "attempts", "replays", "next_attempt_at",
            "first_failed_at", "last_failed_at", "closed_at", "corrects",
        )  # fmt: skip
        read_only_fields = fields


class DeadLetterLineSerializer(DeadLetterSerializer):
    """A dead letter as one line of a list."""

    error_summary = serializers.CharField(read_only=True, help_text="the beginning of the error's message")

    class Meta(DeadLetterSerializer.Meta):
        fields = (*DeadLetterSerializer.Meta.fields, "error_summary")
        read_only_fields = fields


class EventSerializer(RowSerializer):
    """A line of a dead letter's timeline."""

    actor = serializers.CharField(source="actor_name", read_only=True)
    data = serializers.SerializerMethodField()  # type: ignore[assignment]  # REST framework moves fields elsewhere

    class Meta:
        model = DeadLetterEvent
        fields = ("id", "kind", "at", "actor", "reason", "data")
        read_only_fields = fields

    def get_data(self, event: DeadLetterEvent) -> dict[str, Any]:
        """Return what is known beside, with ids as text."""
        return {name: str(value) if name in LETTERS else value for name, value in event.data.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBody:
    """A body as the API gives it out.

    `encoding`: "text" is exactly what travelled, unless it is masked; in "escaped", bytes that are not text are written
    as \\xNN; "base64" is exact for every body.
    """

    text: str | None
    kind: str
    encoding: str
    size: int
    masked: bool

    @classmethod
    def of(cls, body: bytes | None, *, masked: bool, encoding: str) -> "ShownBody":
        """Describe a body."""
        payload = describe(body, masked=masked)
        text = None if body is None else payload.raw
        if encoding != "base64":
            encoding = "text" if exact(body) is None else "escaped"
        elif body is not None:
            text = base64.b64encode(body).decode()
        return cls(text=text, kind=payload.kind, encoding=encoding, size=payload.size, masked=payload.masked)


class DeadLetterDetailSerializer(DeadLetterSerializer):
    """All of a dead letter. The context has `shown`, `masked` and `verbs`."""

    body = serializers.SerializerMethodField(help_text="null if absent, or masked altogether.")
    body_kind = serializers.SerializerMethodField(help_text="json, text, binary, empty or absent")
    body_encoding = serializers.SerializerMethodField(help_text="text, escaped (bytes as \\xNN) or base64")
    body_size = serializers.SerializerMethodField(help_text="bytes")
    body_masked = serializers.SerializerMethodField(help_text="whether something in the body is hidden from you")
    headers = serializers.SerializerMethodField(help_text="[name, value] pairs, in order")
    system_headers = serializers.SerializerMethodField(help_text="those that django_dlq sets by itself")
    verbs = serializers.SerializerMethodField(help_text="what you can do with the letter as it is now")
    parked_behind = serializers.SerializerMethodField(help_text="id of the letter that a parked one waits for")
    parked_count = serializers.SerializerMethodField(help_text="messages that are parked behind this one, up to 1,001")
    corrected_by = serializers.SerializerMethodField(help_text="ids of the letters that edits of this one made")
    timeline = EventSerializer(source="events", many=True, read_only=True)

    class Meta(DeadLetterSerializer.Meta):
        fields = (
            *DeadLetterSerializer.Meta.fields, "error_message", "traceback", "body", "body_kind", "body_encoding",
            "body_size", "body_masked", "headers", "system_headers", "verbs", "parked_behind",
            "parked_count", "corrected_by", "timeline",
        )  # fmt: skip
        read_only_fields = fields

    @property
    def _shown(self) -> ShownBody:
        shown: ShownBody = self.context["shown"]
        return shown

    def get_body(self, _letter: DeadLetter) -> str | None:
        """Return the body in `body_encoding`."""
        return self._shown.text

    def get_body_kind(self, _letter: DeadLetter) -> str:
        """Return what the body is."""
        return self._shown.kind

    def get_body_encoding(self, _letter: DeadLetter) -> str:
        """Return how the body is written."""
        return self._shown.encoding

    def get_body_size(self, _letter: DeadLetter) -> int:
        """Return the size of what travelled."""
        return self._shown.size

    def get_body_masked(self, _letter: DeadLetter) -> bool:
        """Tell whether a part is hidden."""
        return self._shown.masked

    def get_headers(self, letter: DeadLetter) -> list[list[str | None]]:
        """Return the headers that an edit may change."""
        return self._pairs(letter, system=False)

    def get_system_headers(self, letter: DeadLetter) -> list[list[str | None]]:
        """Return the headers that an edit may not change."""
        return self._pairs(letter, system=True)

    def get_verbs(self, _letter: DeadLetter) -> list[str]:
        """Return the verbs that the letter's state and the user's permissions allow."""
        verbs: Sequence[str] = self.context["verbs"]
        return list(verbs)

    def get_parked_behind(self, letter: DeadLetter) -> str | None:
        """Return the number of the letter before it."""
        before = letter_before(letter)
        return None if before is None else str(before)

    def get_parked_count(self, letter: DeadLetter) -> int:
        """Return how many messages wait until this one is settled."""
        return count_parked(letter)

    def get_corrected_by(self, letter: DeadLetter) -> list[str]:
        """Return the ids of corrected copies."""
        return [str(pk) for pk in letter.corrected_by.order_by("pk").values_list("pk", flat=True)]

    def _pairs(self, letter: DeadLetter, *, system: bool) -> list[list[str | None]]:
        headers = tuple((name, value) for name, value in letter.headers if (name in RESERVED) is system)
        return [list(pair) for pair in describe_headers(headers, masked=self.context["masked"])]
