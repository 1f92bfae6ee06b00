"""Producers that could not be asked what became of their half messages."""

from typing import Any

from django.core.checks import CheckMessage, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections

from django_dlq.checks.settings import check_settings
from django_dlq.models import Producer
from django_dlq.producer_checks import why_not_called


@register("django_dlq", Tags.database)
def check_producers(**_: Any) -> list[CheckMessage]:
    """Look for active producers that the settings, or a secret that is missing, keep from being asked."""
    using = Producer.objects.db
    if Producer._meta.db_table not in connections[using].introspection.table_names() or check_settings():
        return []  # before the first migration, or where another check says what is wrong
    return [
        CheckWarning(
            f"The producer {producer.name!r} cannot be asked what became of its half messages: {why}.",
            hint="Name its host in DLQ_CHECKBACK_HOSTS, make its secret in the admin, or make it inactive.",
            obj=producer,
            id="django_dlq.W130",
        )
        for producer in Producer.objects.filter(is_active=True).order_by("name")
        if (why := why_not_called(producer))
    ]
