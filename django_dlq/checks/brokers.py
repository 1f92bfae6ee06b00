"""DLQ_BROKERS."""

from collections.abc import Mapping
from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string

from django_dlq.brokers.base import Broker
from django_dlq.conf import conf


@register("django_dlq")
def check_brokers(**_: Any) -> list[CheckMessage]:
    """Check DLQ_BROKERS, and let each broker check its OPTIONS."""
    brokers: Any = conf.DLQ_BROKERS
    if not isinstance(brokers, Mapping):
        return [
            Error(
                "DLQ_BROKERS is not a dict.", hint='{"default": {"BACKEND": …, "OPTIONS": {…}}}', id="django_dlq.E001"
            )
        ]
    if not brokers:
        return [CheckWarning("DLQ_BROKERS has no broker.", hint="Nothing can be published.", id="django_dlq.W001")]
    return [found for alias, broker in brokers.items() for found in _check_broker(str(alias), broker)]


def _check_broker(alias: str, broker: Any) -> list[CheckMessage]:
    where = f"DLQ_BROKERS[{alias!r}]"
    if not isinstance(broker, Mapping) or not isinstance(broker.get("BACKEND"), str):
        return [Error(f"{where} has no BACKEND.", hint="Give it the dotted path of a broker.", id="django_dlq.E002")]
    if unknown := sorted(set(broker) - {"BACKEND", "OPTIONS"}):
        return [
            Error(f"{where} has unknown entries: {unknown}.", hint="Known: BACKEND, OPTIONS.", id="django_dlq.E003")
        ]
    try:
        backend = import_string(broker["BACKEND"])
    except ImportError as error:
        hint = "Look for a typing error, or install the extra that brings the driver."
        return [Error(f"{where}: BACKEND cannot be imported: {error}", hint=hint, id="django_dlq.E004")]
    if not (isinstance(backend, type) and issubclass(backend, Broker)):
        return [
            Error(
                f"{where}: BACKEND is not a Broker.",
                hint="Subclass django_dlq.brokers.base.Broker.",
                id="django_dlq.E005",
            )
        ]
    options = broker.get("OPTIONS", {})
    if not isinstance(options, Mapping):
        return [Error(f"{where}: OPTIONS is not a dict.", hint="Leave it out, or write {}.", id="django_dlq.E006")]
    return backend.check(alias, options)
