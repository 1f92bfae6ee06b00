"""The groups that have stopped themselves: why, and letting them go on."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq import stops
from django_dlq.admin.display import Labelled, absent, one_line, two_lines, when
from django_dlq.admin.pause_forms import ResumeForm
from django_dlq.admin.read_only import ReadOnlyAdmin, column
from django_dlq.conf import conf
from django_dlq.models import StoppedGroup

RESUME = "django_dlq.resume_stoppedgroup"


@admin.register(StoppedGroup)
class StoppedGroupAdmin(ReadOnlyAdmin):
    """Stopped groups. Resuming one takes the permission `resume_stoppedgroup`, and a reason."""

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
        may_resume = row.is_standing and request.user.has_perm(RESUME)
        return {
            "facts": facts,
            "stop": row,
            "resume_url": self._url("resume", row.pk) if may_resume else "",
            "letters_url": self._letters_url(request, row),
        }

    def get_urls(self) -> list[URLPattern]:
        """Put the act before the page of a row, whose pattern takes everything."""
        view = self.admin_site.admin_view(self.resume_view)
        return [path("<path:object_id>/resume/", view, name="django_dlq_stoppedgroup_resume"), *super().get_urls()]

    def resume_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask before a group goes on, and let it."""
        row = self.get_object(request, unquote(object_id))
        if not (self.has_view_permission(request, row) and request.user.has_perm(RESUME)):
            raise PermissionDenied
        if row is None or not row.is_standing:
            return self._gone(request)
        form = ResumeForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            actor: Any = request.user
            if not stops.resume(row.group, release=row.release, actor=actor, reason=form.cleaned_data["reason"]):
                return self._gone(request)
            messages.success(request, _("Resumed: %(what)s.") % {"what": row})
            return HttpResponseRedirect(self._url("changelist"))
        context = {"title": _("Resume?"), "form": form, "back_url": self._url("change", row.pk)}
        context |= self.page_context(request) | self.row_context(request, row)
        return TemplateResponse(request, "admin/django_dlq/stoppedgroup/resume.html", context)

    def _gone(self, request: HttpRequest) -> HttpResponse:
        messages.warning(request, _("It is not stopped any more. Nothing was changed."))
        return HttpResponseRedirect(self._url("changelist"))

    def _letters_url(self, request: HttpRequest, row: StoppedGroup) -> str:
        if not request.user.has_perm("django_dlq.view_deadletter"):
            return ""
        letters = reverse("admin:django_dlq_deadletter_changelist", current_app=self.admin_site.name)
        return f"{letters}?{urlencode({'fingerprint': row.fingerprint, 'state': 'all'})}"

    def _url(self, name: str, *args: Any) -> str:
        return reverse(f"admin:django_dlq_stoppedgroup_{name}", args=args, current_app=self.admin_site.name)


def stopped_groups_context(request: HttpRequest, site: admin.AdminSite) -> dict[str, Any]:
    """Return what parts/stopped_groups.html warns of: the groups that are stopped in the release that runs here."""
    stops_here = StoppedGroup.objects.standing(conf.DLQ_RELEASE)
    may_view = request.user.has_perm("django_dlq.view_stoppedgroup")
    url = reverse("admin:django_dlq_stoppedgroup_changelist", current_app=site.name) if may_view else ""
    return {"stops": [(stop, _how_many(stop), when(stop.stopped_at)) for stop in stops_here.values()], "url": url}


def _how_many(row: StoppedGroup) -> str:
    return _("%(failed)d of %(all)d") % {"failed": row.failed, "all": row.out_of}
