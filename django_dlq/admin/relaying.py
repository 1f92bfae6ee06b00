"""Who sends, and what keeps it from sending: shown above the outbox, the relays and their lanes."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_dlq import debezium, metrics
from django_dlq.admin.display import when
from django_dlq.figures import Relays
from django_dlq.message import LANES
from django_dlq.models import OutboxMessage


def relaying_context(relays: Relays) -> dict[str, Any]:
    """Return what parts/relaying.html warns of."""
    # The outbox is looked at only while no relay deletes from it: then a due row is found at once.
    is_idle = not relays.alive and not debezium.is_used() and OutboxMessage.objects.due()[:1].exists()
    return {
        "is_idle": is_idle,
        "alive": len(relays.alive),
        "outages": [(outage, when(outage.since)) for outage in metrics.outages()],
    }


def summary(relays: Relays) -> str:
    """Return one line about all relays."""
    alive = ngettext("%(n)d relay runs", "%(n)d relays run", len(relays.alive)) % {"n": len(relays.alive)}
    lanes = _("%(taken)d of %(all)d lanes are taken") % {"taken": LANES - len(relays.free_lanes), "all": LANES}
    speed = _("%(rate)s messages per second") % {"rate": f"{relays.rate:,.1f}"}
    return f"{alive} · {lanes} · {speed}"
