"""Pages by cursor: the newest first, stable while rows come and go, and never a COUNT."""

from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from django_dlq.api.problems import InvalidParameter


class NewestFirst(CursorPagination):
    """Go by primary key, the highest first: `?cursor=` comes from `next` and `previous`, `?page_size=` is up to 200."""

    ordering = "-pk"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def get_page_size(self, request: Request) -> int:
        """Return the size that was asked for; another one than that would look like the end of the list."""
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        if not _is_number(text, digits=3) or not 1 <= int(text) <= self.max_page_size:
            message = _("This is a number from 1 to %(most)s.") % {"most": self.max_page_size}
            raise InvalidParameter({self.page_size_query_param: [message]})
        return int(text)

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Read the cursor; one that this API has not made is an error of the client."""
        try:
            cursor = super().decode_cursor(request)
        except NotFound as error:
            raise _invalid_cursor() from error
        if cursor is not None and cursor.position is not None and not _is_number(str(cursor.position), digits=19):
            raise _invalid_cursor()
        return cursor

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page."""
        described: dict[str, Any] = super().get_paginated_response_schema(schema)
        described["required"] = ["next", "previous", "results"]
        return described


def _is_number(text: str, *, digits: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= digits


def _invalid_cursor() -> InvalidParameter:
    return InvalidParameter({"cursor": [_("Take the cursor from `next` or `previous`, or begin without one.")]})
