"""Where rows are chosen to be acted on: in the list, with a button per act, or on their own pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from django_dlq.admin.confirm import MOST_CHOSEN, ConfirmingAdmin, too_many
from django_dlq.admin.links import row_link
from django_dlq.admin.verbs import Verb


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One thing to do to a row; `why_not` says why it cannot be done."""

    name: str
    label: Any
    url: str
    why_not: str
    is_main: bool
    is_risky: bool


class ChoosingAdmin(ConfirmingAdmin):
    """Rows with a state that says which verbs are possible; `transitions` has the states, by verb."""

    actions: Any = ()
    transitions: ClassVar[Mapping[str, tuple[frozenset[Any], Any]]]

    def why_not(self, request: HttpRequest, verb: Verb, row: Any = None) -> str:
        """Return why the person cannot do this (to this row), or nothing if it is possible."""
        if missing := verb.missing(request.user):
            return _("you need the permission %(names)s") % {"names": ", ".join(missing)}
        if row is None or row.allows(verb.name):
            return ""
        sources, states = self.transitions[verb.name][0], row._meta.get_field("state").flatchoices
        allowed = _(" or ").join(str(label) for state, label in states if state in sources)
        return str(self.words.only_for % {"states": allowed, "state": row.get_state_display()})

    def buttons(self, request: HttpRequest, row: Any) -> list[Button]:
        """Return what can be done on the page of a row; the list's filters go with it, to come back to."""
        filters = request.GET.get("_changelist_filters", "")
        query = {"_changelist_filters": filters} if filters else {}
        why_not = {verb.name: self.why_not(request, verb, row) for verb in self.verbs}
        main = next((verb for verb in self.verbs if verb.is_main and not why_not[verb.name]), None)
        return [
            Button(
                name=verb.name,
                label=verb.label,
                url=row_link(self.admin_site, row, verb.name, **query),
                why_not=why_not[verb.name],
                is_main=verb is main,
                is_risky=verb.is_risky,
            )
            for verb in self.verbs
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, with a button per act: who may not do it sees why."""
        verbs = [
            {"action": _action(verb), "verb": verb, "why_not": self.why_not(request, verb)} for verb in self.for_many
        ]
        return super().changelist_view(request, {"verbs": verbs} | (extra_context or {}))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Offer what the person may do to the chosen rows."""
        if IS_POPUP_VAR in request.GET:
            return {}
        may = [verb for verb in self.for_many if not verb.missing(request.user)]
        acts = {_action(verb): (partial(_chosen, verb=verb), _action(verb), verb.label) for verb in may}
        return super().get_actions(request) | acts

    def act_view(self, request: HttpRequest, object_id: str, *, verb: Verb) -> HttpResponse:
        """Ask before something is done to one row."""
        self.allowed_or_403(request, verb)
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        return self.ask(request, verb, ids=[row.pk], filters=request.GET.get("_changelist_filters", ""))


def _action(verb: Verb) -> str:
    return f"{verb.name}_selected"


def _chosen(admin: ChoosingAdmin, request: HttpRequest, queryset: QuerySet[Any], *, verb: Verb) -> HttpResponse | None:
    """Ask before something is done to the chosen rows."""
    # "Select all" has just run the filter again. From here on the rows are pinned, and their number is shown.
    admin.allowed_or_403(request, verb)
    ids = list(queryset.values_list("pk", flat=True)[: MOST_CHOSEN + 1])
    if len(ids) > MOST_CHOSEN:
        messages.warning(request, too_many())
        return None
    return admin.ask(request, verb, ids=ids, filters=request.GET.urlencode())
