"""What handlers depend on: which circuits are open and why, opening and closing them, and replaying what died."""

from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_dlq import dependencies
from django_dlq.admin.display import absent, absolute, one_line, two_lines, when
from django_dlq.admin.pause_forms import ResumeForm
from django_dlq.admin.read_only import ReadOnlyAdmin, column
from django_dlq.models import Circuit, Dependency
from django_dlq.registry import handlers

MOST_COUNTED: Final = 10_000


class OpenForm(ResumeForm):
    """Which circuit to open, and why."""

    dependency = forms.ChoiceField(label=gettext_lazy("Dependency"))
    field_order = ("dependency", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: Any = self.fields["dependency"]
        choices.choices = [(name, name) for name in sorted(handlers.dependencies())]


@admin.register(Dependency)
class DependencyAdmin(ReadOnlyAdmin):
    """The circuits. Opening, closing and replaying take a permission each, and are asked about on a page first."""

    change_list_template = "admin/django_dlq/change_list.html"
    detail_template = "admin/django_dlq/dependency/detail.html"
    list_display = ("dependency", "circuit", "why", "since", "died")
    list_display_links = ("dependency",)
    search_fields = exact_search = ()
    ordering = ("name",)
    empty_list = gettext_lazy("No dependency has failed yet.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may open a circuit."""
        return self.has_view_permission(request) and request.user.has_perm("django_dlq.open_dependency")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the person may close a circuit."""
        return self.has_view_permission(request, obj) and request.user.has_perm("django_dlq.close_dependency")

    def has_replay_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tell whether the person may replay what died of it."""
        return self.has_view_permission(request, obj) and request.user.has_perm("django_dlq.replay_deadletter")

    def get_urls(self) -> list[URLPattern]:
        """Add the page that asks before replaying."""
        replay = self.admin_site.admin_view(self.replay_view)
        return [path("<path:object_id>/replay/", replay, name="django_dlq_dependency_replay"), *super().get_urls()]

    @column(gettext_lazy("dependency"), "name")
    def dependency(self, row: Dependency) -> SafeString:
        """Show the name, and how many handlers need it."""
        count = len(_needing(row))
        return two_lines(row.name, ngettext("%(n)d handler", "%(n)d handlers", count) % {"n": count})

    @column(gettext_lazy("circuit"), "state")
    def circuit(self, row: Dependency) -> SafeString:
        """Show whether handlers run."""
        return two_lines(row.get_state_display(), _says(row))

    @column(gettext_lazy("why"))
    def why(self, row: Dependency) -> object:
        """Show the person's reason, or the last failure."""
        if row.is_by_hand:
            return two_lines(one_line(row.reason), _("by %(name)s") % {"name": row.actor_name})
        return two_lines(row.error_class, one_line(row.error_message)) if row.error_class else absent(None)

    @column(gettext_lazy("open since"), "opened_at")
    def since(self, row: Dependency) -> object:
        """Show since when it is not closed."""
        return when(row.opened_at) if row.opened_at else absent(None)

    @column(gettext_lazy("died of it"))
    def died(self, row: Dependency) -> str:
        """Show how many dead letters failed because of it."""
        return _counted(row)

    def row_context(self, request: HttpRequest, row: Dependency) -> dict[str, Any]:
        """Return the circuit, what it means, and what may be done."""
        facts = [
            (_("Circuit"), row.get_state_display()),
            (_("Open since"), absent(absolute(row.opened_at) if row.opened_at else None)),
            *([(_("Opened by"), row.actor_name), (_("Reason"), row.reason)] if row.is_by_hand else []),
            (_("Failures in a row"), row.failures),
            (_("Failed probes"), row.trials),
            (_("Next probe"), absent(absolute(row.next_probe_at) if row.next_probe_at else None)),
            (_("Last failure"), when(row.failed_at) if row.failed_at else absent(None)),
            (_("Error"), absent(f"{row.error_class}: {row.error_message}" if row.error_class else None)),
            (_("Handlers"), absent(", ".join(_needing(row)) or None)),
        ]
        is_open = row.state != Circuit.CLOSED
        may_open = not row.is_by_hand and self.has_add_permission(request) and bool(_needing(row))
        dead = _counted(row)
        return {
            "facts": facts,
            "advice": _advice(row),
            "dead": "" if dead == "0" else dead,
            "letters_url": self._letters_url(request, row),
            "is_replaying": row.replay_until is not None,
            "open_url": f"{self._url('add')}?{urlencode({'dependency': row.name})}" if may_open else "",
            "close_url": self._url("delete", row.pk) if is_open and self.has_delete_permission(request, row) else "",
            "replay_url": self._url("replay", row.pk) if self.has_replay_permission(request, row) else "",
        }

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask which circuit to open, and open it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = OpenForm(request.POST) if request.method == "POST" else OpenForm(initial=request.GET.dict())
        if request.method == "POST" and form.is_valid():
            name, reason = form.cleaned_data["dependency"], form.cleaned_data["reason"]
            if dependencies.open_circuit(name, actor=_actor(request), reason=reason):
                messages.success(request, _("The circuit of %(name)s is open.") % {"name": name})
            else:
                messages.warning(request, _("A person has opened it already. Nothing was changed."))
            return HttpResponseRedirect(self._url("changelist"))
        advice = _("Its handlers are called no more, until a person closes it. Their messages wait in the broker.")
        return self._ask(request, form, title=_("Open a circuit"), advice=advice, verb=_("Open"), is_danger=True)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask before closing, and close it."""
        row = self._row(request, object_id, may=self.has_delete_permission)
        form = ResumeForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            if dependencies.close_circuit(row.name, actor=_actor(request), reason=form.cleaned_data["reason"]):
                messages.success(request, _("The circuit of %(name)s is closed.") % {"name": row})
            else:
                messages.warning(request, _("It is closed already. Nothing was changed."))
            return HttpResponseRedirect(self._url("changelist"))
        advice = _("Its handlers are called again. If it is still down, the circuit opens again after a few failures.")
        title = _("Close the circuit of %(name)s?") % {"name": row}
        return self._ask(request, form, title=title, advice=advice, verb=_("Close"))

    def replay_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask before replaying what died of it, and have it replayed."""
        row = self._row(request, object_id, may=self.has_replay_permission)
        form = ResumeForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            count = dependencies.replay_dead(row.name, actor=_actor(request), reason=form.cleaned_data["reason"])
            text = ngettext("%(n)d letter will be replayed.", "%(n)d letters will be replayed.", count)
            messages.success(request, text % {"n": count})
            return HttpResponseRedirect(self._url("change", row.pk))
        advice = ngettext(
            "%(n)s letter died of it, and will be replayed as soon as the circuit is closed.",
            "%(n)s letters died of it, and will be replayed as soon as the circuit is closed.",
            row.dead()[: MOST_COUNTED + 1].count(),
        ) % {"n": _counted(row)}
        title = _("Replay what died of %(name)s?") % {"name": row}
        return self._ask(request, form, title=title, advice=advice, verb=_("Replay"))

    def _row(self, request: HttpRequest, object_id: str, *, may: Any) -> Dependency:
        row: Dependency | None = self.get_object(request, unquote(object_id))
        if row is None or not may(request, row):
            raise PermissionDenied
        return row

    def _ask(
        self, request: HttpRequest, form: forms.Form, *, title: str, advice: str, verb: str, is_danger: bool = False
    ) -> HttpResponse:
        context = {"title": title, "form": form, "advice": advice, "verb": verb, "is_danger": is_danger}
        context |= {"back_url": self._url("changelist")}
        return TemplateResponse(request, "admin/django_dlq/dependency/ask.html", self.page_context(request) | context)

    def _letters_url(self, request: HttpRequest, row: Dependency) -> str:
        if not request.user.has_perm("django_dlq.view_deadletter"):
            return ""
        letters = reverse("admin:django_dlq_deadletter_changelist", current_app=self.admin_site.name)
        return f"{letters}?{urlencode({'dependency': row.name})}"

    def _url(self, name: str, *args: Any) -> str:
        return reverse(f"admin:django_dlq_dependency_{name}", args=args, current_app=self.admin_site.name)


def _actor(request: HttpRequest) -> Any:
    return request.user


def _needing(row: Dependency) -> list[str]:
    return sorted(handler.name for handler in handlers.handlers if handler.depends_on == row.name)


def _counted(row: Dependency) -> str:
    count = row.dead()[: MOST_COUNTED + 1].count()
    return f"{MOST_COUNTED}+" if count > MOST_COUNTED else str(count)


def _says(row: Dependency) -> str:
    if row.state == Circuit.CLOSED:
        return _("handlers run")
    return _("one message is tried") if row.state == Circuit.HALF_OPEN else _("handlers wait")


def _advice(row: Dependency) -> str:
    if row.state == Circuit.CLOSED:
        return _("Handlers that need it run.")
    if row.is_by_hand:
        return _("Handlers that need it wait until a person closes the circuit. Their messages are safe in the broker.")
    if row.state == Circuit.HALF_OPEN:
        return _("It seems to be back: one message is tried. If it is handled, all go on.")
    return _("Handlers that need it wait, and it is probed. Their messages are safe in the broker, and pay no attempt.")
