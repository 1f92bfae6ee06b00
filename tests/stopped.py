"""Stopped groups for tests, as a consumer would write them."""

from typing import Any

from django_dlq.conf import conf
from django_dlq.models import StoppedGroup


def stop(group: str = "shipping", **columns: Any) -> StoppedGroup:
    """Stop a group, by default in this process's release."""
    facts = {
        "release": conf.DLQ_RELEASE,
        "handler": "shop.handlers.ship",
        "failed": 50,
        "out_of": 50,
        "error_class": "shop.models.NoSuchProduct",
        "error_message": "product 7\nis unknown",
        "fingerprint": "f" * 32,
    }
    return StoppedGroup.objects.stop(group=group, **facts | columns)[0]
