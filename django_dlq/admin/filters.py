"""The filters of the lists."""

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.display import ICONS
from django_dlq.models import DeadLetter, HalfState, State

OPEN: Final = "open"
ALL: Final = "all"
COUNTED: Final = 1_000
"""Letters of one state that are counted: an index gives as many at once, and "1000+" tells an operator enough."""

LOOKED_AT: Final = 5_000
"""Rows of a long table whose values are offered to filter by."""


class StateFilter(admin.SimpleListFilter):
    """Letters in one state. Without a choice: the dead ones, which wait for a person."""

    title = gettext_lazy("state")
    parameter_name = "state"
    default: ClassVar[str] = State.DEAD

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states, with how many letters are in each; "all" must be asked for."""
        return [*((state, f"{ICONS[state]} {state.label} ({_count(state)})") for state in State), (ALL, _("All"))]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return the links."""
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": (self.value() or self.default) == value, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list; a state that does not exist shows nothing, rather than all."""
        chosen = self.value() or self.default
        return queryset if chosen == ALL else self.narrowed(queryset, chosen)

    def narrowed(self, queryset: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        """Return the rows in this state."""
        return queryset.filter(state=chosen)


class HalfStateFilter(StateFilter):
    """Half messages in one state. Without a choice: those that nobody has decided."""

    default = OPEN

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        states = ((state, f"{ICONS[state]} {state.label}") for state in HalfState)
        return [(OPEN, _("not decided")), *states, (ALL, _("All"))]

    def narrowed(self, queryset: QuerySet[Any], chosen: str) -> QuerySet[Any]:
        """Return the rows in this state, or those that nobody has decided."""
        return queryset.filter(decided_at=None) if chosen == OPEN else super().narrowed(queryset, chosen)


class LinkedFilter(admin.SimpleListFilter):
    """One value of a column, which a link on another page asks for; shown only while it is in force."""

    most_shown = 255

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return what was asked for."""
        chosen = self.used_parameters.get(str(self.parameter_name))
        return [(chosen, chosen[: self.most_shown])] if chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        return queryset.filter(**{str(self.parameter_name): self.value()}) if self.value() else queryset


class SameCauseFilter(LinkedFilter):
    """Letters with one fingerprint; it is reached from a letter's page."""

    title = gettext_lazy("same cause")
    parameter_name = "fingerprint"
    most_shown = 12


class DependencyFilter(LinkedFilter):
    """Letters that died of one dependency; it is reached from the dependency's page."""

    title = gettext_lazy("died of")
    parameter_name = "dependency"


class ValuesFilter(admin.AllValuesFieldListFilter):
    """The values that a column has, the empty one under a name of its own."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return the links."""
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or _("none")}


class FirstValuesFilter(ValuesFilter):
    """The values that the first rows have, and the chosen one: to look for others would read the whole table."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        model, field_path = args[3], options["field_path"]
        first = sorted(set(model.objects.order_by("pk").values_list(field_path, flat=True)[:LOOKED_AT]))
        known = {str(value) for value in first}
        self.lookup_choices: Any = [*first, *(value for value in self.lookup_val or () if value not in known)]


def _count(state: State) -> str:
    count = DeadLetter.objects.filter(state=state).order_by()[: COUNTED + 1].count()
    return f"{COUNTED}+" if count > COUNTED else str(count)
