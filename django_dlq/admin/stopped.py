"""What keeps messages in the outbox on purpose: pauses, and dead letters that hold their keys."""

from typing import Any, Final

from django.contrib.admin.sites import AdminSite
from django.http import HttpRequest

from django_dlq.admin.links import list_link
from django_dlq.models import DeadLetter, Pause

MOST_NAMED: Final = 5
MOST_COUNTED: Final = 1_000


def stopped_context(request: HttpRequest, site: AdminSite) -> dict[str, Any]:
    """Return what parts/stopped.html shows above the outbox; links only to pages that the person may see."""
    pauses = list(Pause.objects.order_by("pk")[: MOST_NAMED + 1])
    holding = DeadLetter.objects.holding().order_by()[: MOST_COUNTED + 1].count()
    return {
        "pauses": pauses[:MOST_NAMED],
        "has_more": len(pauses) > MOST_NAMED,
        "pauses_url": list_link(request, site, Pause),
        "holding": f"{MOST_COUNTED}+" if holding > MOST_COUNTED else holding,
        "letters_url": list_link(request, site, DeadLetter, holds_key__exact="1", state="all"),
    }
