"""Addresses of pages, in the admin site that the person is in."""

from urllib.parse import urlencode

from django.contrib.admin.sites import AdminSite
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.http import HttpRequest, QueryDict
from django.urls import reverse


def page_link(site: AdminSite, model: type[Model], page: str, *args: object, **query: str) -> str:
    """Return the address of a page of a model, e.g. `changelist`, or `change` with an id."""
    address = reverse(f"admin:{prefix(model)}_{page}", args=args, current_app=site.name)
    return f"{address}?{urlencode(query)}" if query else address


def row_link(site: AdminSite, row: Model, page: str = "change", **query: str) -> str:
    """Return the address of a page of a row."""
    return page_link(site, type(row), page, quote(row.pk), **query)


def list_link(request: HttpRequest, site: AdminSite, model: type[Model], **query: str) -> str:
    """Return the address of a list, or nothing for a person who may not see it."""
    may_view = request.user.has_perm(f"{model._meta.app_label}.view_{model._meta.model_name}")
    return page_link(site, model, "changelist", **query) if may_view else ""


def filtered_link(site: AdminSite, model: type[Model], filters: str) -> str:
    """Return the address of a list with these filters, whatever else somebody may have put there."""
    address, query = page_link(site, model, "changelist"), QueryDict(filters).urlencode()
    return f"{address}?{query}" if query else address


def prefix(model: type[Model]) -> str:
    """Return what the names of a model's pages begin with."""
    return f"{model._meta.app_label}_{model._meta.model_name}"
