"""The handlers that were registered."""

from collections.abc import Mapping
from typing import Any

from django.core.checks import CheckMessage, Error, register

from django_dlq.conf import conf
from django_dlq.registry import handlers


@register("django_dlq")
def check_handlers(**_: Any) -> list[CheckMessage]:
    """Check that the handlers' brokers exist."""
    if not isinstance(conf.DLQ_BROKERS, Mapping):
        return []  # E001 says so
    return [
        Error(
            f"{handler.name} consumes from the broker {handler.broker!r}, which DLQ_BROKERS does not have.",
            hint="Add it to DLQ_BROKERS, or give the handler the alias of another broker.",
            id="django_dlq.E050",
        )
        for handler in handlers.handlers
        if handler.broker not in conf.DLQ_BROKERS
    ]
