"""Whether a message that cannot be sent holds the later ones of its key until a person acts."""

from typing import Final

from django_dlq.conf import conf
from django_dlq.exceptions import Expired

EXPIRED: Final = f"{Expired.__module__}.{Expired.__qualname__}"


def must_hold(topic: str, key: str | None, *, error_class: str) -> bool:
    """Tell whether DLQ_HOLD_TOPICS says so for this topic; never without a key, nor for a message that expired.

    Whoever sets an expiry has said that the others can do without the message.
    """
    if key is None or error_class == EXPIRED:
        return False
    return any(topic.startswith(name[:-1]) if name.endswith("*") else topic == name for name in conf.DLQ_HOLD_TOPICS)
