"""What all pages share: they show rows, and neither add, change nor delete any."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.utils.text import capfirst

Fact = tuple[Any, object]
"""A label and its value."""

MOST_LISTED: Final = 10_000
"""Rows that a list can page through: counting a history of many millions would hang its page."""


class NewestPaginator(Paginator):  # type: ignore[type-arg]
    """Page through the first rows only, and count no further than those."""

    @cached_property
    def count(self) -> int:
        """The number of rows, or the most that are listed."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_LISTED].count())


class LightChangeList(ChangeList):
    """A list that leaves in the database what its table does not show."""

    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """Return the rows without what makes them heavy."""
        return light(super().get_queryset(*args, **kwargs))


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A list with a search by whole values, and a page per row. Seeing either takes the permission `view`."""

    actions = None
    change_list_template = "admin/django_dlq/change_list.html"
    detail_template = "admin/django_dlq/detail.html"
    exact_search: ClassVar[Sequence[str]] = ("message_key",)
    # Searched by their beginnings. Django's own search would look for the words anywhere, which no index helps with.
    search_fields: ClassVar[Any] = ("message_key",)
    ordering: ClassVar[Any] = ("-pk",)
    paginator = NewestPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 200
    empty_list: ClassVar[Any] = ""

    class Media:
        css = {"all": ["django_dlq/admin.css"]}
        js = ["django_dlq/admin.js"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: messages come from the application."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: what travelled is never changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: retention deletes, nobody else."""
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Use the list that spares heavy columns."""
        return LightChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find rows by a whole value, which an index answers; else, or with a `*` at the end, by its beginning."""
        term = search_term.strip()
        if not term:
            return queryset, False
        start = term.removesuffix("*")
        if start == term:
            exact = queryset.filter(_any_of(self.exact_search, term))
            if exact.exists():
                return exact, False
        return queryset.filter(_any_of(self.search_fields, start, "__startswith")), False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list."""
        context = {
            "title": capfirst(str(self.opts.verbose_name_plural)),
            "empty_list": self.empty_list,
            "most_listed": MOST_LISTED,
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one row, on a page of this app's own: there is no form to fill in."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        context = self.page_context(request) | {"original": row, "title": str(row)} | self.row_context(request, row)
        return TemplateResponse(request, self.detail_template, context | (extra_context or {}))

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return what every page of this admin needs."""
        request.current_app = self.admin_site.name
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "subtitle": None,
            "has_view_permission": True,
            "preserved_filters": self.get_preserved_filters(request),
        }

    @abstractmethod
    def row_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the page of one row shows."""


def column(title: Any, ordering: str = "") -> Callable[[Any], Any]:
    """Name a column of a list, and the column of the table that it sorts by."""
    return admin.display(description=title, ordering=ordering or None)


def light(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Leave out bodies, headers and tracebacks."""
    names = {field.name for field in rows.model._meta.fields}
    return rows.defer(*names & {"body", "headers", "traceback", "raw_key"})


def _any_of(names: Sequence[str], value: str, lookup: str = "") -> Q:
    found = Q()
    for name in names:
        found |= Q(**{name + lookup: value})
    return found
