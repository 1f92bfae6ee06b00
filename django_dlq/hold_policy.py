"""Whether a message that cannot be sent holds the later ones of its key until a person acts."""

from typing import Final

from django_dlq.conf import conf
from django_dlq.exceptions import Expired
from django_dlq.message import is_among

EXPIRED: Final = f"{Expired.__module__}.{Expired.__qualname__}"


def must_hold(topic: str, key: str | None, *, error_class: str) -> bool:
    """Tell whether DLQ_HOLD_TOPICS says so for this topic; never without a key, nor for a message that expired.

    Whoever sets an expiry has said that the others can do without the message.
    """
    if key is None or error_class == EXPIRED:
        return False
    return is_among(topic, conf.DLQ_HOLD_TOPICS)
