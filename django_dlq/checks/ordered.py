"""Handlers that keep the order of each key through failure."""

from typing import Any

from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning

from django_dlq.registry import handlers


@register("django_dlq")
def check_ordered_handlers(**_: Any) -> list[CheckMessage]:
    """Check that of those who share a group's topic either all keep the order or none does."""
    found: list[CheckMessage] = []
    for ordered in [handler for handler in handlers.handlers if handler.ordered]:
        for other in handlers.of_group(ordered.group):
            if not other.ordered and (shared := sorted(set(ordered.topics) & set(other.topics))):
                found.append(
                    CheckWarning(
                        f"{ordered.name} keeps the order of each key of {', '.join(shared)}, and "
                        f"{other.name} of the same group, {ordered.group!r}, does not.",
                        hint="Messages of one key go to either, by their tags: let both be ordered, or none.",
                        id="django_dlq.W090",
                    )
                )
    return found
