"""Acts that a page of their own asks about first: on one row, or on what a form names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from django_dlq.admin.acting import ActingAdmin
from django_dlq.admin.links import page_link, row_link
from django_dlq.admin.reason_form import ReasonForm
from django_dlq.admin.verbs import Verb
from django_dlq.exceptions import DeskError, IllegalTransition


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Verb):
    """One act, and the page that asks about it.

    `act` is called with the row, if there is one, with `actor` and with what the form asked for, and returns what to
    say; it raises IllegalTransition if it is too late. `gone` is said if the row is not there any more, or `allows`
    does not hold of it; without it the page is refused. `back` and `then` are the pages to go back to, and on to.
    """

    act: Callable[..., str]
    form: type[forms.Form] = ReasonForm
    template: str = "admin/django_dlq/ask.html"
    allows: Callable[[Any], bool] = bool
    gone: Any = ""
    back: str = "changelist"
    then: str = "changelist"


class AskingAdmin(ActingAdmin):
    """Rows whose verbs are questions."""

    def act_view(self, request: HttpRequest, object_id: str = "", *, verb: Question) -> HttpResponse:
        """Ask before an act, and do it on POST."""
        self.allowed_or_403(request, verb)
        row = self.get_object(request, unquote(object_id)) if verb.on_row else None
        if verb.on_row and not (row and verb.allows(row)):
            return self._gone(request, verb)
        if request.method != "POST":
            # What the address names is filled in, and nothing more.
            form = verb.form(initial={} if verb.on_row else request.GET.dict())
            return self._page(request, verb, row, form=form)
        form = verb.form(request.POST)
        if form.is_valid() and self._is_over(request, verb, row, form=form):
            return HttpResponseRedirect(self._link(verb.then, row))
        return self._page(request, verb, row, form=form)

    def question_context(self, verb: Question, row: Any) -> dict[str, Any]:
        """Return the words of a question about this row."""
        return {"title": verb.question % {"name": row}, "effect": verb.effect}

    def _is_over(self, request: HttpRequest, verb: Question, row: Any, *, form: forms.Form) -> bool:
        """Do it, and tell whether there is nothing to correct."""
        given = (row,) if verb.on_row else ()
        try:
            said = verb.act(*given, actor=request.user, **form.cleaned_data)
        except IllegalTransition as error:
            messages.warning(request, str(error))
        except DeskError as error:
            form.add_error(None, str(error))
            return False
        else:
            messages.success(request, said)
        return True

    def _gone(self, request: HttpRequest, verb: Question) -> HttpResponse:
        if not verb.gone:
            raise PermissionDenied
        messages.warning(request, verb.gone)
        return HttpResponseRedirect(self._link("changelist", None))

    def _page(self, request: HttpRequest, verb: Question, row: Any, *, form: forms.Form) -> HttpResponse:
        context = self.page_context(request) | ({} if row is None else self.row_context(request, row))
        context |= {"verb": verb, "form": form, "back_url": self._link(verb.back, row)}
        return TemplateResponse(request, verb.template, context | self.question_context(verb, row))

    def _link(self, page: str, row: Model | None) -> str:
        if row is not None and page == "change":
            return row_link(self.admin_site, row)
        return page_link(self.admin_site, self.model, page)
