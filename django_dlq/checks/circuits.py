"""What handlers depend on, and the probes that were registered."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, register
from django.core.checks import Warning as CheckWarning

from django_dlq.probes import probes
from django_dlq.registry import handlers


@register("django_dlq")
def check_dependencies(**_: Any) -> list[CheckMessage]:
    """Compare what handlers depend on with the probes there are: a name that only one side has is often a typo."""
    return [*_without_probe(), *_without_handler()]


def _without_probe() -> Iterator[CheckMessage]:
    for name in sorted(handlers.dependencies() - probes.probes.keys()):
        named = ", ".join(handler.name for handler in handlers.handlers if handler.depends_on == name)
        yield CheckWarning(
            f"{named}: depends on {name!r}, which has no probe.",
            hint=f"Write one: @inbox.probe({name!r}). Without it only a message can find out whether {name} is back.",
            id="django_dlq.W100",
        )


def _without_handler() -> Iterator[CheckMessage]:
    for name in sorted(probes.probes.keys() - handlers.dependencies()):
        yield CheckWarning(
            f"No handler depends on {name!r}, which has a probe.",
            hint=f"Say so where the handler is registered, depends_on={name!r}; or remove the probe.",
            id="django_dlq.W101",
        )
