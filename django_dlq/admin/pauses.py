"""The kill switches: what is paused, pausing, and resuming."""

from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.asking import AskingAdmin
from django_dlq.admin.display import absent, one_line, two_lines, when
from django_dlq.admin.links import row_link
from django_dlq.admin.pause_verbs import PAUSE, RESUME
from django_dlq.admin.read_only import LightChangeList, column
from django_dlq.models import Pause, Scope, count_waiting

MOST_ACTS: Final = 20


class CountedChangeList(LightChangeList):
    """A list whose rows know how many messages wait for them, with one query for all."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the rows of the page, and count."""
        super().get_results(request)
        rows = list(self.result_list)
        for row, count in zip(rows, count_waiting(*(row.stopped for row in rows)), strict=True):
            row.waiting = count
        self.result_list = rows


@admin.register(Pause)
class PauseAdmin(AskingAdmin):
    """What is paused. Pausing takes the permission `add_pause`, resuming `delete_pause`; both ask for a reason."""

    verbs = (PAUSE, RESUME)
    change_list_template = "admin/django_dlq/pause/change_list.html"
    detail_template = "admin/django_dlq/pause/detail.html"
    list_display_links = ("what",)
    search_fields = exact_search = ()
    empty_list = gettext_lazy("Nothing is paused: everything is sent.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may pause."""
        return self.may(request, PAUSE)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Use the list that counts."""
        return CountedChangeList

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Show the way to resume only to who may go it."""
        columns = ("what", "waits", "why", "since")
        return (*columns, "resume") if self.may(request, RESUME) else columns

    @column(gettext_lazy("what"), "topic")
    def what(self, row: Pause) -> SafeString:
        """Show what is paused."""
        key = _("key %(key)s") % {"key": one_line(row.key)} if row.key is not None else ""
        return two_lines(row.broker or row.topic, key or row.get_scope_display())

    @column(gettext_lazy("waiting"))
    def waits(self, row: Pause) -> str:
        """Show how many messages wait."""
        return str(row.waiting)  # type: ignore[attr-defined]  # by CountedChangeList

    @column(gettext_lazy("why"))
    def why(self, row: Pause) -> SafeString:
        """Show the reason, and who gave it."""
        return two_lines(one_line(row.reason), _("by %(name)s") % {"name": row.actor_name})

    @column(gettext_lazy("since"), "at")
    def since(self, row: Pause) -> object:
        """Show since when."""
        return when(row.at)

    @column(gettext_lazy("resume"))
    def resume(self, row: Pause) -> SafeString:
        """Show the way to the page that asks before resuming."""
        return format_html('<a href="{}">{}…</a>', row_link(self.admin_site, row, RESUME.name), RESUME.label)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show what is paused, and what was done lately."""
        return super().changelist_view(request, {"acts": _acts()} | (extra_context or {}))

    def row_context(self, request: HttpRequest, row: Pause) -> dict[str, Any]:
        """Return the pause, and how to end it."""
        facts = [
            (_("What"), row.get_scope_display()),
            *([(_("Broker"), row.broker)] if row.scope == Scope.BROKER else [(_("Topic"), row.topic)]),
            *([(_("Key"), absent(row.key))] if row.scope == Scope.KEY else []),
            (_("Messages that wait"), count_waiting(row.stopped)[0]),
            (_("Since"), when(row.at)),
            (_("By"), row.actor_name),
        ]
        return {"facts": facts, "pause": row, "resume_url": self.way_to(request, RESUME, row)}


def _acts() -> list[dict[str, Any]]:
    """Return what people did lately; it outlives the pauses."""
    entries = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(Pause)).select_related("user")
    return [
        {
            "is_end": entry.action_flag == DELETION,
            "what": entry.object_repr,
            "name": entry.user.get_username(),
            "why": entry.get_change_message().partition(": ")[2],
            "at": when(entry.action_time),
        }
        for entry in entries.order_by("-pk")[:MOST_ACTS]
    ]
