"""The groups that have stopped themselves: why, and letting them go on."""

from operator import attrgetter
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq import stops
from django_dlq.admin.asking import AskingAdmin, Question
from django_dlq.admin.display import Labelled, absent, one_line, two_lines, when
from django_dlq.admin.links import list_link
from django_dlq.admin.read_only import column
from django_dlq.conf import conf
from django_dlq.exceptions import IllegalTransition
from django_dlq.models import Actor, DeadLetter, StoppedGroup

GONE = gettext_lazy("It is not stopped any more. Nothing was changed.")


def _resume(row: StoppedGroup, *, actor: Actor, reason: str) -> str:
    if not stops.resume(row.group, release=row.release, actor=actor, reason=reason):
        raise IllegalTransition(GONE)
    return _("Resumed: %(what)s.") % {"what": row}


RESUME: Final = Question(
    name="resume",
    label=gettext_lazy("Resume"),
    question=gettext_lazy("Resume?"),
    effect=gettext_lazy(
        "Consumers of this release go on within seconds, and so do the group's retries. If the cause is still there, "
        "the group stops again after as many failures."
    ),
    permissions=("django_dlq.resume_stoppedgroup",),
    act=_resume,
    template="admin/django_dlq/stoppedgroup/resume.html",
    allows=attrgetter("is_standing"),
    gone=GONE,
    back="change",
)


@admin.register(StoppedGroup)
class StoppedGroupAdmin(AskingAdmin):
    """Stopped groups. Resuming one takes the permission `resume_stoppedgroup`, and a reason."""

    verbs = (RESUME,)
    list_display = ("name", "state", "what_went_wrong", "how_many", "since")
    list_display_links = ("name",)
    search_fields = exact_search = ("group",)
    search_help_text = gettext_lazy("A group. With * at the end: all that begin with it.")
    detail_template = "admin/django_dlq/stoppedgroup/detail.html"
    empty_list = gettext_lazy("No group has ever stopped itself.")

    @column(gettext_lazy("group"), "group")
    def name(self, row: StoppedGroup) -> SafeString:
        """Show the group, and the release in which it stopped."""
        return two_lines(row.group, _("release %(release)s") % {"release": row.release} if row.release else "")

    @column(gettext_lazy("state"), "resumed_at")
    def state(self, row: StoppedGroup) -> SafeString:
        """Show whether it is stopped, or who let it go on and why."""
        if not row.is_standing:
            return two_lines(_("resumed by %(name)s") % {"name": row.actor_name}, one_line(row.reason))
        icon = format_html('<span class="dlq-icon" aria-hidden="true">‖</span> {}', _("stopped"))
        word = format_html('<span class="dlq-state dlq-state-dead">{}</span>', icon)
        return two_lines(word, "" if row.release == conf.DLQ_RELEASE else _("not the release that runs here"))

    @column(gettext_lazy("what went wrong"), "error_class")
    def what_went_wrong(self, row: StoppedGroup) -> SafeString:
        """Show the last error's class and the first line of its message."""
        return two_lines(Labelled(row.error_class).short, one_line(row.error_message))

    @column(gettext_lazy("failed"))
    def how_many(self, row: StoppedGroup) -> SafeString:
        """Show how many messages failed, and of which handler."""
        return two_lines(_how_many(row), Labelled(row.handler).short)

    @column(gettext_lazy("stopped"), "stopped_at")
    def since(self, row: StoppedGroup) -> object:
        """Show since when."""
        return when(row.stopped_at)

    def row_context(self, request: HttpRequest, row: StoppedGroup) -> dict[str, Any]:
        """Return the stop, its letters, and how to end it."""
        facts = [
            (_("Group"), row.group),
            (_("Release"), absent(row.release)),
            (_("Stopped"), when(row.stopped_at)),
            (_("Handler"), row.handler),
            (_("Messages that failed"), _how_many(row)),
        ]
        if not row.is_standing:
            facts += [(_("Resumed"), when(row.resumed_at)), (_("By"), row.actor_name)]
        return {
            "facts": facts,
            "stop": row,
            "resume_url": self.way_to(request, RESUME, row) if row.is_standing else "",
            "letters_url": list_link(request, self.admin_site, DeadLetter, fingerprint=row.fingerprint, state="all"),
        }


def stopped_groups_context(request: HttpRequest, site: admin.AdminSite) -> dict[str, Any]:
    """Return what parts/stopped_groups.html warns of: the groups that are stopped in the release that runs here."""
    stops_here = StoppedGroup.objects.standing(conf.DLQ_RELEASE)
    url = list_link(request, site, StoppedGroup)
    return {"stops": [(stop, _how_many(stop), when(stop.stopped_at)) for stop in stops_here.values()], "url": url}


def _how_many(row: StoppedGroup) -> str:
    return _("%(failed)d of %(all)d") % {"failed": row.failed, "all": row.out_of}
