"""What all pages with acts share: an address for each act, and who may do it, which is checked where it is done."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from django_dlq.admin.links import prefix, row_link
from django_dlq.admin.read_only import ReadOnlyAdmin
from django_dlq.admin.verbs import Verb


class ActingAdmin(ReadOnlyAdmin):
    """Rows that can be acted on with some verbs, and in no other way. See ChoosingAdmin and AskingAdmin."""

    verbs: ClassVar[Sequence[Any]] = ()

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        """Tell whether the person may see the rows and do this to them."""
        return self.has_view_permission(request) and not verb.missing(request.user)

    def allowed_or_403(self, request: HttpRequest, verb: Verb) -> None:
        """Raise PermissionDenied unless the person may see the rows and do this to them."""
        if not self.may(request, verb):
            raise PermissionDenied

    def way_to(self, request: HttpRequest, verb: Verb, row: Model) -> str:
        """Return the address of the page that asks before this is done to a row, or nothing for who may not do it."""
        return row_link(self.admin_site, row, verb.name) if self.may(request, verb) else ""

    def get_urls(self) -> list[URLPattern]:
        """Put the acts before the page of a row, whose pattern takes everything."""
        return [*map(self._path, self.verbs), *super().get_urls()]

    def _path(self, verb: Verb) -> URLPattern:
        view = self.admin_site.admin_view(partial(self.act_view, verb=verb))
        route = f"<path:object_id>/{verb.name}/" if verb.on_row else f"{verb.name}/"
        return path(route, view, name=f"{prefix(self.model)}_{verb.name}")

    @abstractmethod
    def act_view(self, request: HttpRequest, object_id: str, *, verb: Any) -> HttpResponse:
        """Ask before something is done to one row, or without an id to what a form names."""
