"""What a user's own tests may import: `from django_dlq.testing import captured_messages, drain`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_dlq.testing.capture import CapturedMessages, captured_messages
    from django_dlq.testing.draining import Drained, DrainError, drain

__all__ = ["CapturedMessages", "DrainError", "Drained", "captured_messages", "drain"]

_HOMES = {"CapturedMessages": "capture", "captured_messages": "capture"}


def __getattr__(name: str) -> Any:
    # Only when asked for: these need models, while the mock cluster and the pytest plugin beside them are imported
    # before Django is set up, or without Django.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'draining')}"), name)
