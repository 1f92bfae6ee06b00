"""The page between a click and an act: it says what will happen to which letters, and asks why."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_dlq.admin.display import Labelled, badge, failure
from django_dlq.admin.read_only import ReadOnlyAdmin
from django_dlq.admin.verbs import BULK, MOST_LETTERS, Outcome, Verb, carry_out
from django_dlq.models import DeadLetter

MOST_SHOWN = 20
MOST_REASONS_SHOWN = 3


class IdsField(forms.CharField):
    """The pinned letters in one field, since Django limits the number of fields in a form."""

    widget = forms.HiddenInput

    def to_python(self, value: Any) -> Any:
        """Return the ids, each once."""
        try:
            ids = [int(part) for part in (super().to_python(value) or "").split(",") if part]
        except ValueError as error:
            raise forms.ValidationError(_("The list of letters is damaged. Go back and choose them again.")) from error
        if len(ids) > MOST_LETTERS:
            raise forms.ValidationError(too_many())
        return list(dict.fromkeys(ids))


class ConfirmForm(forms.Form):
    """Which letters, and why."""

    ids = IdsField()
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("Stays in the timeline of each letter, with your name."),
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
        max_length=2000,
    )
    # The list's filters, to come back to.
    filters = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, needs_reason: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = needs_reason


def allowed_or_403(request: HttpRequest, admin: ReadOnlyAdmin, verb: Verb) -> None:
    """Raise PermissionDenied unless the person may see letters and do this."""
    if not admin.has_view_permission(request) or verb.missing(request.user):
        raise PermissionDenied


def confirm_page(
    request: HttpRequest, admin: ReadOnlyAdmin, verb: Verb, *, ids: Sequence[int], filters: str
) -> HttpResponse:
    """Show what will happen to these letters, which are pinned from here on."""
    allowed_or_403(request, admin, verb)
    form = ConfirmForm(needs_reason=verb.needs_reason, initial={"ids": ",".join(map(str, ids)), "filters": filters})
    return _page(request, admin, verb, form=form, ids=ids)


def confirm_view(request: HttpRequest, admin: ReadOnlyAdmin, name: str) -> HttpResponse:
    """Do what was confirmed, and say on the list how much of it was done."""
    verb = BULK.get(name)
    if verb is None:
        raise Http404
    allowed_or_403(request, admin, verb)
    if request.method != "POST":
        return HttpResponseRedirect(list_url(admin, ""))
    form = ConfirmForm(request.POST, needs_reason=verb.needs_reason)
    if form.is_valid():
        ids, reason = form.cleaned_data["ids"], form.cleaned_data["reason"]
        tell(request, verb, carry_out(verb, ids, user=request.user, reason=reason))
        return HttpResponseRedirect(list_url(admin, form.cleaned_data["filters"]))
    return _page(request, admin, verb, form=form, ids=form.cleaned_data.get("ids", []))


def tell(request: HttpRequest, verb: Verb, outcome: Outcome) -> None:
    """Write what happened, and nothing more than that, as messages."""
    if outcome.done:
        text = ngettext("%(count)d letter %(done)s.", "%(count)d letters %(done)s.", outcome.done)
        messages.success(request, text % {"count": outcome.done, "done": verb.done})
    if outcome.skipped:
        text = ngettext("%(count)d letter skipped: %(why)s", "%(count)d letters skipped: %(why)s", len(outcome.skipped))
        why = "; ".join(outcome.skipped[:MOST_REASONS_SHOWN])
        more = "…" if len(outcome.skipped) > MOST_REASONS_SHOWN else "."
        messages.warning(request, text % {"count": len(outcome.skipped), "why": why + more})
    if outcome.not_tried:
        text = ngettext(
            "The database failed. %(count)d letter was not tried.",
            "The database failed. %(count)d letters were not tried.",
            outcome.not_tried,
        )
        messages.error(request, text % {"count": outcome.not_tried})


def too_many() -> str:
    """Return the words for a choice of too many letters."""
    return _("At most %(most)d letters can be chosen at once. Narrow the list with a filter; nothing was done.") % {
        "most": MOST_LETTERS
    }


def list_url(admin: ReadOnlyAdmin, filters: str) -> str:
    """Return the list's address with these filters, whatever else somebody may have put there."""
    path = reverse("admin:django_dlq_deadletter_changelist", current_app=admin.admin_site.name)
    query = QueryDict(filters).urlencode()
    return f"{path}?{query}" if query else path


def _page(
    request: HttpRequest, admin: ReadOnlyAdmin, verb: Verb, *, form: ConfirmForm, ids: Sequence[int]
) -> HttpResponse:
    letters = list(DeadLetter.objects.filter(pk__in=ids).defer("body", "headers", "traceback").order_by("pk"))
    able = [letter for letter in letters if letter.allows(verb.name)]
    causes = Counter((letter.topic, letter.group, letter.error_class) for letter in able)
    context = {
        "title": verb.question,
        "verb": verb,
        "form": form,
        "count": len(able),
        "total": len(ids),
        "unable": len(ids) - len(able),
        "causes": [(topic, group, Labelled(error), count) for (topic, group, error), count in causes.most_common(10)],
        "letters": [_row(verb, letter) for letter in letters[:MOST_SHOWN]],
        "not_shown": max(len(letters) - MOST_SHOWN, 0),
        "action": reverse("admin:django_dlq_deadletter_confirm", args=[verb.name], current_app=admin.admin_site.name),
        "back_url": list_url(admin, form["filters"].value() or ""),
    }
    return TemplateResponse(request, "admin/django_dlq/confirm.html", admin.page_context(request) | context)


def _row(verb: Verb, letter: DeadLetter) -> dict[str, Any]:
    return {
        "letter": letter,
        "badge": badge(letter.state),
        "failure": failure(letter),
        "is_able": letter.allows(verb.name),
    }
