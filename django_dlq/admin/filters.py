"""The filters of the dead letters' list."""

from collections.abc import Iterator
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.display import ICONS
from django_dlq.models import DeadLetter, State

ALL: Final = "all"
COUNTED: Final = 1_000
"""Letters of one state that are counted: an index gives as many at once, and "1000+" tells an operator enough."""

LOOKED_AT: Final = 5_000
"""Rows of a long table whose values are offered to filter by."""


class StateFilter(admin.SimpleListFilter):
    """Letters in one state. Without a choice: the dead ones, which wait for a person."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states, with how many letters are in each."""
        return [(state.value, f"{ICONS[state]} {state.label} ({_count(state)})") for state in State]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return the links, the default first; "all" must be asked for."""
        chosen = self.value() or State.DEAD
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": chosen == value, "query_string": query, "display": title}
        everything = changelist.get_query_string({self.parameter_name: ALL})
        yield {"selected": chosen == ALL, "query_string": everything, "display": _("All")}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        chosen = self.value() or State.DEAD
        if chosen == ALL:
            return queryset
        # A state that does not exist shows no letters, rather than all of them.
        return queryset.filter(state=chosen)


class SameCauseFilter(admin.SimpleListFilter):
    """Letters with one fingerprint; it is reached from a letter's page, and shown only while it is in force."""

    title = gettext_lazy("same cause")
    parameter_name = "fingerprint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the fingerprint that was asked for."""
        chosen = self.used_parameters.get(self.parameter_name)
        return [(chosen, chosen[:12])] if chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        return queryset.filter(fingerprint=self.value()) if self.value() else queryset


class DependencyFilter(admin.SimpleListFilter):
    """Letters that died of one dependency; it is reached from the dependency's page, and shown only while in force."""

    title = gettext_lazy("died of")
    parameter_name = "dependency"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the dependency that was asked for."""
        chosen = self.used_parameters.get(self.parameter_name)
        return [(chosen, chosen)] if chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list."""
        return queryset.filter(dependency=self.value()) if self.value() else queryset


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
