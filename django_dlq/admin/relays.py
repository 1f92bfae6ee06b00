"""The pages of who relays: the processes, and the lanes that they share."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq import metrics
from django_dlq.admin.display import absent, absolute, when
from django_dlq.admin.filters import ValuesFilter
from django_dlq.admin.read_only import LightChangeList, ReadOnlyAdmin, column
from django_dlq.admin.relaying import relaying_context, summary
from django_dlq.figures import ranges
from django_dlq.message import LANES
from django_dlq.models import DatabaseNow, RelayLane, RelayProcess


class RelayingAdmin(ReadOnlyAdmin):
    """What both pages share: a line about all relays, and above it what keeps messages from being sent."""

    change_list_template = "admin/django_dlq/relays/change_list.html"
    search_fields = exact_search = ()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list under its summary."""
        relays = metrics.relays()
        context = {"relaying": relaying_context(relays), "summary": summary(relays), "is_empty_bad": True}
        return super().changelist_view(request, context | (extra_context or {}))


class RelayChangeList(LightChangeList):
    """A list whose rows know the lanes of each relay, with one query for all."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows of the page, and their lanes."""
        super().get_results(request)
        self.result_list = list(self.result_list)
        _give_lanes(self.result_list)


@admin.register(RelayProcess)
class RelayProcessAdmin(RelayingAdmin):
    """The relays that run, and those that have fallen silent a moment ago."""

    list_display = ("owner", "state", "lanes", "speed", "sent_so_far", "joined")
    ordering = ("started_at", "owner")
    empty_list = gettext_lazy("No relay runs. Start one: manage.py dlq_relay")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Use the list that knows the lanes."""
        return RelayChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Tell of each whether it runs, by the database's clock."""
        rows: QuerySet[Any] = super().get_queryset(request).annotate(is_alive=Q(alive_until__gt=DatabaseNow()))
        return rows

    @column(gettext_lazy("state"), "alive_until")
    def state(self, row: Any) -> object:
        """Show whether it runs."""
        return _("runs") if row.is_alive else _("silent since %(at)s") % {"at": absolute(row.alive_until)}

    @column(gettext_lazy("lanes"))
    def lanes(self, row: Any) -> object:
        """Show the lanes that it has."""
        return absent(ranges(row.lanes) or None)

    @column(gettext_lazy("messages per second"), "rate")
    def speed(self, row: RelayProcess) -> str:
        """Show how fast it sends."""
        return f"{row.rate:,.1f}"

    @column(gettext_lazy("messages sent"), "sent")
    def sent_so_far(self, row: RelayProcess) -> str:
        """Show how much it has sent since it joined."""
        return f"{row.sent:,}"

    @column(gettext_lazy("joined"), "started_at")
    def joined(self, row: RelayProcess) -> object:
        """Show since when it runs."""
        return when(row.started_at)

    def row_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the row, its lanes, and the brokers that it cannot reach."""
        _give_lanes([row])
        outages = row.outages.order_by("since")
        facts = [
            (_("Relay"), row.owner),
            (_("State"), self.state(row)),
            (_("Lanes"), self.lanes(row)),
            (_("Messages per second"), self.speed(row)),
            (_("Messages sent"), self.sent_so_far(row)),
            (_("Joined"), self.joined(row)),
        ]
        for outage in outages:
            what = (
                _("Topic %(topic)s of broker %(broker)s rests since")
                if outage.topic
                else _("Broker %(broker)s unreachable since")
            )
            facts += [
                (what % {"broker": outage.broker, "topic": outage.topic}, when(outage.since)),
                (_("What broker %(broker)s said") % {"broker": outage.broker}, absent(outage.reason)),
            ]
        return {"facts": facts}


@admin.register(RelayLane)
class RelayLaneAdmin(RelayingAdmin):
    """Which relay may send which share of the outbox."""

    list_display = ("lane", "relay", "epoch", "lease")
    list_filter = (("owner", ValuesFilter),)
    list_per_page = LANES
    ordering = ("lane",)
    empty_list = gettext_lazy("No relay has run yet. Start one: manage.py dlq_relay")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Tell of each whether a relay has it, by the database's clock."""
        rows: QuerySet[Any] = super().get_queryset(request).annotate(is_leased=Q(leased_until__gt=DatabaseNow()))
        return rows

    @column(gettext_lazy("relay"), "owner")
    def relay(self, row: Any) -> object:
        """Show who may send it."""
        return absent(row.owner if row.is_leased else None)

    @column(gettext_lazy("leased until"), "leased_until")
    def lease(self, row: Any) -> str:
        """Show until when nobody else may send it, unless its relay prolongs the lease."""
        return absolute(row.leased_until) if row.is_leased else _("free")

    def row_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the row."""
        facts = [
            (_("Lane"), row.lane),
            (_("Relay"), self.relay(row)),
            (_("Epoch"), row.epoch),
            (_("Leased until"), self.lease(row)),
        ]
        return {"facts": facts}


def _give_lanes(rows: list[Any]) -> None:
    lanes = {relay.owner: relay.lanes for relay in metrics.relays().alive}
    for row in rows:
        row.lanes = lanes.get(row.owner, ())
