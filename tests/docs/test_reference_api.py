"""The reference of the API names what the API has."""

import re

import pytest
from rest_framework.serializers import Serializer

from django_dlq.api import filters, half_requests, requests
from django_dlq.api.urls import router
from django_dlq.api.views import DeadLetterViewSet
from tests.docs.pages import DOCS, section, table

pytestmark = pytest.mark.once

API = DOCS / "reference" / "api.md"


def code(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_endpoint_has_a_row() -> None:
    routes = set()
    for prefix, view, _ in router.registry:
        for route in router.get_routes(view):
            for method, name in route.mapping.items():
                if hasattr(view, name):
                    path = route.url.format(prefix=prefix, lookup="{id}", trailing_slash="/").strip("^$")
                    routes.add((method.upper(), path))
    assert {(row[0], row[1].strip("`")) for row in table(section(API, "Endpoints"))} == routes


def test_the_row_of_a_verb_names_its_permissions_and_its_fields() -> None:
    view = DeadLetterViewSet()
    told: dict[str, type[Serializer[object]]] = {
        "replay": requests.OptionalReason,
        "edit": requests.Edit,
        "discard": requests.Reason,
        "restore": requests.OptionalReason,
    }
    rows = {row[1].strip("`"): row for row in table(section(API, "Endpoints"))}
    for verb, serializer in told.items():
        _, _, permissions, body = rows[f"dead-letters/{{id}}/{verb}/"]
        view.action = verb
        assert {f"django_dlq.{name}" for name in code(permissions)} == set(view.permissions_needed())
        assert ("(optional)" in body) is (not serializer().fields["reason"].required)


@pytest.mark.parametrize(
    ("heading", "known"),
    [
        ("Filters of dead letters", filters.DeadLetterFilters),
        ("Filters of the outbox", filters.OutboxFilters),
        ("Filters of the history", filters.PublishedFilters),
    ],
)
def test_every_filter_is_named(heading: str, known: type[filters.DeadLetterFilters]) -> None:
    text = section(API, heading)
    named = {name for row in table(text) for name in code(row[0])} or code(text)
    inherited = set(filters.OutboxFilters.base_filters) if heading == "Filters of the history" else set()
    assert named | inherited == set(known.base_filters)


def test_every_field_of_an_edit_is_named() -> None:
    assert {name for row in table(section(API, "What edit takes")) for name in code(row[0])} == set(
        requests.Edit().fields
    )


def test_every_field_of_preparing_is_named() -> None:
    rows = table(section(API, "What preparing takes"))
    assert {row[0].strip("`") for row in rows} == set(half_requests.Prepare().fields)
