"""What the lists can be filtered by. A filter that does not exist, is given twice, or has a bad value is an error."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django.core.exceptions import ValidationError as FormError
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_filters.fields import IsoDateTimeField
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.settings import api_settings

from django_dlq.api.problems import InvalidParameter, UnknownParameter
from django_dlq.models import DeadLetter, OutboxMessage, PublishedMessage, Source, State

BIGGEST = 2**63 - 1


class TextFilter(django_filters.CharFilter):
    """Exactly this text, every space of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, strip=False, **kwargs)


class NumberFilter(django_filters.NumberFilter):
    """A whole number that a column can hold."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        wrong = {"invalid": gettext_lazy("This is a whole number.")}
        super().__init__(*args, min_value=0, max_value=BIGGEST, error_messages=wrong, **kwargs)


class ChoiceFilter(django_filters.MultipleChoiceFilter):
    """One of a few words; given several times: any of them."""

    def __init__(self, *args: Any, choices: Any, **kwargs: Any) -> None:
        allowed = ", ".join(choices.values)
        wrong = {"invalid_choice": gettext_lazy("%(value)s is not one of: ") + allowed}
        super().__init__(*args, choices=choices.choices, error_messages=wrong, **kwargs)


class TruthFilter(django_filters.TypedChoiceFilter):
    """true or false, and nothing else: Django's own would take any other word for no filter at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        wrong = {"invalid_choice": gettext_lazy("This is true or false.")}
        words = [("true", "true"), ("false", "false")]
        super().__init__(*args, choices=words, coerce="true".__eq__, error_messages=wrong, **kwargs)


class TimeField(IsoDateTimeField):
    """A time with its offset from UTC, as ISO 8601 writes it; without one it is in the current time zone."""

    def to_python(self, value: Any) -> datetime | None:
        """Return the time in UTC."""
        time: datetime | None = super().to_python(value)
        try:
            return None if time is None else time.astimezone(UTC)
        except OverflowError as error:
            raise FormError(self.error_messages["invalid"], code="invalid") from error


class TimeFilter(django_filters.IsoDateTimeFilter):
    """A moment to compare with."""

    field_class = TimeField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        wrong = {"invalid": gettext_lazy("This is a time as in 2026-11-22T08:30:00Z (in a URL, write + as %2B).")}
        super().__init__(*args, error_messages=wrong, **kwargs)


class DeadLetterFilters(django_filters.FilterSet):
    """By where the message comes from, what it is, and how it failed."""

    state = ChoiceFilter(choices=State)
    source = ChoiceFilter(choices=Source)
    broker = TextFilter()
    topic = TextFilter()
    group = TextFilter()
    handler = TextFilter()
    error_class = TextFilter()
    fingerprint = TextFilter()
    message_key = TextFilter()
    message_id = TextFilter()
    key = TextFilter()
    tag = TextFilter()
    dependency = TextFilter()
    release = TextFilter()
    holds_key = TruthFilter()
    attempts__gte = NumberFilter(field_name="attempts", lookup_expr="gte")
    failed_after = TimeFilter(field_name="last_failed_at", lookup_expr="gte")
    failed_before = TimeFilter(field_name="last_failed_at", lookup_expr="lt")
    corrects = NumberFilter(field_name="corrects_id")

    class Meta:
        model = DeadLetter
        fields: list[str] = []


class OutboxFilters(django_filters.FilterSet):
    """By what the message is, and when it was written."""

    topic = TextFilter()
    message_key = TextFilter()
    message_id = TextFilter()
    key = TextFilter()
    tag = TextFilter()
    broker = TextFilter()
    created_after = TimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = TimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = OutboxMessage
        fields: list[str] = []


class PublishedFilters(OutboxFilters):
    """By what the message is, and when it was written and sent."""

    published_after = TimeFilter(field_name="published_at", lookup_expr="gte")
    published_before = TimeFilter(field_name="published_at", lookup_expr="lt")

    class Meta:
        model = PublishedMessage
        fields: list[str] = []


class StrictFilterBackend(DjangoFilterBackend):
    """Filter by the view's filters, and never by fewer than were asked for."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Model], view: Any) -> QuerySet[Model]:
        """Return the rows that match; raise InvalidParameter for a value that no row could have."""
        filters = self.get_filterset(request, queryset, view)
        if not filters.is_valid():
            found = filters.errors.get_json_data()
            raise InvalidParameter(
                {name: [ErrorDetail(item["message"], item["code"]) for item in items] for name, items in found.items()}
            )
        filtered: QuerySet[Model] = filters.qs
        return filtered

    def to_html(self, request: Request, queryset: QuerySet[Model], view: Any) -> str:
        """Return no form for the browsable API: a form sends empty filters too, which are refused."""
        return ""


def check_parameters(request: Request, known: Iterable[str], *, repeatable: Iterable[str] = ()) -> None:
    """Raise UnknownParameter or InvalidParameter unless the query string can be taken at its word."""
    allowed = {*known, *filter(None, (api_settings.URL_FORMAT_OVERRIDE, api_settings.VERSION_PARAM))}
    unknown = sorted(set(request.query_params) - allowed)
    if unknown:
        message = _("There is no such parameter; there are: %(known)s.") % {"known": ", ".join(sorted(known)) or "-"}
        raise UnknownParameter({name: [message] for name in unknown})
    for name, values in request.query_params.lists():
        if "" in values:
            raise InvalidParameter({name: [_("This is empty; leave it out instead.")]})
        if len(values) > 1 and name not in repeatable:
            raise InvalidParameter({name: [_("This is given more than once.")]})
