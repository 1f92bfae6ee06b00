"""The page between a click and a decision: it says what will happen to which half messages, and asks why."""

from collections.abc import Sequence

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_dlq.admin.confirm import MOST_REASONS_SHOWN, MOST_SHOWN, ConfirmForm
from django_dlq.admin.half_display import half_badge
from django_dlq.admin.half_verbs import HALF_VERBS, HalfVerb, carry_out
from django_dlq.admin.read_only import ReadOnlyAdmin
from django_dlq.admin.verbs import Outcome
from django_dlq.models import HalfMessage

REASON_STAYS = gettext_lazy("Stays with each half message, with your name.")


def allowed_or_403(request: HttpRequest, admin: ReadOnlyAdmin, verb: HalfVerb) -> None:
    """Raise PermissionDenied unless the person may see half messages and do this."""
    if not admin.has_view_permission(request) or verb.missing(request.user):
        raise PermissionDenied


def confirm_page(
    request: HttpRequest, admin: ReadOnlyAdmin, verb: HalfVerb, *, ids: Sequence[int], filters: str
) -> HttpResponse:
    """Show what will happen to these half messages, which are pinned from here on."""
    allowed_or_403(request, admin, verb)
    form = _form(initial={"ids": ",".join(map(str, ids)), "filters": filters})
    return _page(request, admin, verb, form=form, ids=ids)


def confirm_view(request: HttpRequest, admin: ReadOnlyAdmin, name: str) -> HttpResponse:
    """Do what was confirmed, and say on the list how much of it was done."""
    verb = HALF_VERBS.get(name)
    if verb is None:
        raise Http404
    allowed_or_403(request, admin, verb)
    if request.method != "POST":
        return HttpResponseRedirect(_list_url(admin, ""))
    form = _form(request.POST)
    if form.is_valid():
        ids, reason = form.cleaned_data["ids"], form.cleaned_data["reason"]
        _tell(request, verb, carry_out(verb, ids, user=request.user, reason=reason))
        return HttpResponseRedirect(_list_url(admin, form.cleaned_data["filters"]))
    return _page(request, admin, verb, form=form, ids=form.cleaned_data.get("ids", []))


def _form(data: QueryDict | None = None, initial: dict[str, str] | None = None) -> ConfirmForm:
    form = ConfirmForm(data, needs_reason=True, initial=initial)
    form.fields["reason"].help_text = REASON_STAYS
    return form


def _tell(request: HttpRequest, verb: HalfVerb, outcome: Outcome) -> None:
    """Write what happened, and nothing more than that, as messages."""
    if outcome.done:
        text = ngettext("%(count)d half message %(done)s.", "%(count)d half messages %(done)s.", outcome.done)
        messages.success(request, text % {"count": outcome.done, "done": verb.done})
    if outcome.skipped:
        why = "; ".join(outcome.skipped[:MOST_REASONS_SHOWN])
        more = "…" if len(outcome.skipped) > MOST_REASONS_SHOWN else "."
        text = _("Skipped: %(count)d. %(why)s")
        messages.warning(request, text % {"count": len(outcome.skipped), "why": why + more})
    if outcome.not_tried:
        messages.error(request, _("The database failed. Not tried: %(count)d.") % {"count": outcome.not_tried})


def _list_url(admin: ReadOnlyAdmin, filters: str) -> str:
    path = reverse("admin:django_dlq_halfmessage_changelist", current_app=admin.admin_site.name)
    query = QueryDict(filters).urlencode()
    return f"{path}?{query}" if query else path


def _page(
    request: HttpRequest, admin: ReadOnlyAdmin, verb: HalfVerb, *, form: ConfirmForm, ids: Sequence[int]
) -> HttpResponse:
    halves = list(HalfMessage.objects.filter(pk__in=ids).defer("body", "headers").order_by("pk"))
    able = sum(half.allows(verb.name) for half in halves)
    shown = [
        {"half": half, "badge": half_badge(half.state), "is_able": half.allows(verb.name)}
        for half in halves[:MOST_SHOWN]
    ]
    context = {
        "title": verb.question,
        "verb": verb,
        "form": form,
        "count": able,
        "unable": len(ids) - able,
        "rows": shown,
        "not_shown": max(len(halves) - MOST_SHOWN, 0),
        "action": reverse("admin:django_dlq_halfmessage_confirm", args=[verb.name], current_app=admin.admin_site.name),
        "back_url": _list_url(admin, form["filters"].value() or ""),
    }
    return TemplateResponse(request, "admin/django_dlq/halfmessage/confirm.html", admin.page_context(request) | context)
