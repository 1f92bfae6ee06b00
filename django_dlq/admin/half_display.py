"""What the list of half messages warns of, and a chart of how long they have been waiting for a person."""

from datetime import timedelta
from typing import Any, Final

from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.checkers import checkers
from django_dlq.models import HalfMessage, HalfState, in_future

AGES: Final = (
    (timedelta(hours=1), gettext_lazy("up to 1 hour")),
    (timedelta(hours=6), gettext_lazy("up to 6 hours")),
    (timedelta(days=1), gettext_lazy("up to 1 day")),
    (timedelta(days=7), gettext_lazy("up to 1 week")),
    (timedelta(days=36_500), gettext_lazy("longer")),
)
MOST_COUNTED: Final = 10_000
WIDEST: Final = 300
"""The longest bar, in the units of the picture."""

BAR: Final = 26
"""The height of a bar with the space below it."""


def missing_checker(half: HalfMessage) -> bool:
    """Tell whether nobody can be asked about it."""
    return half.state == HalfState.PREPARED and not half.producer and half.checker not in checkers.by_name


def missing_checkers() -> list[tuple[str, int]]:
    """Return the names of checkers that half messages wait for and this project does not have, with their numbers."""
    return list(HalfMessage.objects.waiting().count_by_missing_checker(checkers.by_name))


def age_chart() -> dict[str, Any] | None:
    """Return the bars of undecided half messages by age, or None where there are none."""
    undecided = HalfMessage.objects.open().filter(state=HalfState.UNDECIDED).order_by()[:MOST_COUNTED]
    limits = [in_future(-age) for age, _label in AGES]
    younger = {f"n{place}": Count("pk", filter=Q(prepared_at__gt=limit)) for place, limit in enumerate(limits)}
    found = undecided.aggregate(**younger)
    total = [found[name] for name in younger]
    counts = [after - before for before, after in zip([0, *total], total, strict=False)]
    if not sum(counts):
        return None
    most = max(counts)
    bars = [
        {"label": label, "count": count, "width": round(WIDEST * count / most), "y": place * BAR}
        for place, ((_age, label), count) in enumerate(zip(AGES, counts, strict=True))
    ]
    for bar in bars:
        bar |= {"text_y": bar["y"] + 15, "text_x": 130 + bar["width"]}
    words = ", ".join(f"{bar['label']}: {bar['count']}" for bar in bars)
    return {
        "bars": bars,
        "height": BAR * len(bars),
        "words": _("Undecided by age. %(words)s") % {"words": words},
        "total": f"{MOST_COUNTED}+" if sum(counts) == MOST_COUNTED else sum(counts),
    }
