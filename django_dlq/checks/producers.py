"""Producers, and whether they can be asked what became of their half messages."""

from collections.abc import Collection
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning

from django_dlq.checks.rows import look_up
from django_dlq.checks.settings import check_settings
from django_dlq.conf import conf
from django_dlq.models import Producer
from django_dlq.producer_checks import why_not_called


@register("django_dlq")
def check_timeout(**_: Any) -> list[CheckMessage]:
    """Check that a request ends before whoever makes it counts as hanging."""
    if check_settings() or conf.DLQ_CHECKBACK_HTTP_TIMEOUT <= conf.DLQ_CHECKBACK_TIMEOUT:
        return []
    return [
        Error(
            "DLQ_CHECKBACK_HTTP_TIMEOUT is longer than DLQ_CHECKBACK_TIMEOUT.",
            hint="A producer that answers slowly would count as a checker that hangs, and end the process.",
            id="django_dlq.E134",
        )
    ]


@register("django_dlq", Tags.database)
def check_producers(databases: Collection[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Look for active producers that the settings, or a secret that is missing, keep from being asked."""
    if check_settings():
        return []  # another check says what is wrong
    return [
        CheckWarning(
            f"The producer {producer.name!r} cannot be asked what became of its half messages: {why}.",
            hint="Name its host in DLQ_CHECKBACK_HOSTS, make its secret in the admin, or make it inactive.",
            obj=producer,
            id="django_dlq.W130",
        )
        for producer in look_up(Producer, databases, lambda rows: rows.filter(is_active=True).order_by("name"))
        if (why := why_not_called(producer))
    ]
