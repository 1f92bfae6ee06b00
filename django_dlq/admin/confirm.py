"""The page between a click and an act: it says what will happen to which rows, which are pinned, and asks why."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from django_dlq.admin.acting import ActingAdmin
from django_dlq.admin.display import badge
from django_dlq.admin.links import filtered_link, page_link, prefix
from django_dlq.admin.outcome import carry_out, tell
from django_dlq.admin.read_only import light
from django_dlq.admin.reason_form import ReasonForm
from django_dlq.admin.verbs import Verb, Words

MOST_CHOSEN: Final = 1_000
"""Rows of one act: they are done inside one request, each in a transaction of its own."""

MOST_SHOWN: Final = 20


class IdsField(forms.CharField):
    """The pinned rows in one field, since Django limits the number of fields in a form."""

    widget = forms.HiddenInput

    def to_python(self, value: Any) -> Any:
        """Return the ids, each once."""
        try:
            ids = [int(part) for part in (super().to_python(value) or "").split(",") if part]
        except ValueError as error:
            raise forms.ValidationError(_("The list of letters is damaged. Go back and choose them again.")) from error
        if len(ids) > MOST_CHOSEN:
            raise forms.ValidationError(too_many())
        return list(dict.fromkeys(ids))


class ConfirmForm(ReasonForm):
    """Which rows, and why."""

    ids = IdsField()
    # The list's filters, to come back to.
    filters = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, verb: Verb, words: Words, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = verb.needs_reason
        self.fields["reason"].help_text = words.reason_stays


def too_many() -> str:
    """Return the words for a choice of too many rows."""
    return _("At most %(most)d letters can be chosen at once. Narrow the list with a filter; nothing was done.") % {
        "most": MOST_CHOSEN
    }


class ConfirmingAdmin(ActingAdmin):
    """Rows that are acted on when a page has been confirmed, many at a time, by each verb that has an `act`."""

    words: ClassVar[Words]
    confirm_template = "admin/django_dlq/confirm.html"

    def get_urls(self) -> list[URLPattern]:
        """Add the page that does what was confirmed."""
        view = self.admin_site.admin_view(self.confirm_view)
        return [path("confirm/<str:name>/", view, name=f"{prefix(self.model)}_confirm"), *super().get_urls()]

    def ask(self, request: HttpRequest, verb: Verb, *, ids: Sequence[int], filters: str) -> HttpResponse:
        """Show what will happen to these rows, and do nothing yet."""
        initial = {"ids": ",".join(map(str, ids)), "filters": filters}
        form = ConfirmForm(verb=verb, words=self.words, initial=initial)
        return self._page(request, verb, form=form, ids=ids)

    def confirm_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Do what was confirmed, and say on the list how much of it was done."""
        verb = next((verb for verb in self.for_many if verb.name == name), None)
        if verb is None:
            raise Http404
        self.allowed_or_403(request, verb)
        if request.method != "POST":
            return HttpResponseRedirect(page_link(self.admin_site, self.model, "changelist"))
        form = ConfirmForm(request.POST, verb=verb, words=self.words)
        if not form.is_valid():
            return self._page(request, verb, form=form, ids=form.cleaned_data.get("ids", []))
        ids, reason = form.cleaned_data["ids"], form.cleaned_data["reason"]
        outcome = carry_out(verb, self.model, ids, user=request.user, reason=reason)
        tell(request, outcome, verb=verb, words=self.words)
        return HttpResponseRedirect(filtered_link(self.admin_site, self.model, form.cleaned_data["filters"]))

    @property
    def for_many(self) -> list[Verb]:
        """The verbs for many rows at a time."""
        return [verb for verb in self.verbs if verb.act is not None]

    @abstractmethod
    def about(self, row: Any) -> object:
        """Return what the page says of one row, beside its state."""

    def choice_context(self, able: Sequence[Any]) -> dict[str, Any]:
        """Return what else the page says of the rows that will be acted on."""
        return {}

    def _page(self, request: HttpRequest, verb: Verb, *, form: ConfirmForm, ids: Sequence[int]) -> HttpResponse:
        rows: list[Any] = list(light(self.model._default_manager.filter(pk__in=ids)).order_by("pk"))
        able = [row for row in rows if row.allows(verb.name)]
        context = {
            "title": verb.question,
            "verb": verb,
            "form": form,
            "count": len(able),
            "total": len(ids),
            "unable": len(ids) - len(able),
            "rows": [
                {"row": row, "is_able": row.allows(verb.name), "badge": badge(row), "about": self.about(row)}
                for row in rows[:MOST_SHOWN]
            ],
            "not_shown": max(len(rows) - MOST_SHOWN, 0),
            "action": page_link(self.admin_site, self.model, "confirm", verb.name),
            "back_url": filtered_link(self.admin_site, self.model, form["filters"].value() or ""),
        }
        context |= self.page_context(request) | self.choice_context(able)
        return TemplateResponse(request, self.confirm_template, context)
