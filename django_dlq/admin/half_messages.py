"""The pages of half messages: who waits for what, what the checks said, and a person's decisions."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.choosing import ChoosingAdmin
from django_dlq.admin.display import NOTHING, badge, two_lines, when
from django_dlq.admin.filters import FirstValuesFilter, HalfStateFilter
from django_dlq.admin.half_display import age_chart, missing_checker, missing_checkers
from django_dlq.admin.half_page import half_context
from django_dlq.admin.half_verbs import ASK_AGAIN, COMMIT, HALF_MESSAGES, ROLLBACK
from django_dlq.admin.read_only import column
from django_dlq.models import HALF_TRANSITIONS, HalfMessage, HalfState


@admin.register(HalfMessage)
class HalfMessageAdmin(ChoosingAdmin):
    """Half messages. Each act takes a permission of its own, which is checked where it is done too."""

    verbs = (COMMIT, ROLLBACK, ASK_AGAIN)
    words = HALF_MESSAGES
    transitions = HALF_TRANSITIONS
    list_display = ("message", "state_badge", "asked", "checks_made", "next_check", "prepared")
    list_display_links = ("message",)
    list_filter = (HalfStateFilter, *((name, FirstValuesFilter) for name in ("checker", "producer", "topic")))
    exact_search = search_fields = ("message_id", "message_key", "idempotency_key")
    search_help_text = gettext_lazy(
        "A message id, message key or idempotency key. With * at the end: all that begin with it."
    )
    show_facets = admin.ShowFacets.NEVER
    ordering = ("pk",)  # the longest waiting first
    detail_template = "admin/django_dlq/halfmessage/detail.html"
    change_list_template = "admin/django_dlq/halfmessage/change_list.html"
    confirm_template = "admin/django_dlq/halfmessage/confirm.html"
    empty_list = gettext_lazy("No half message waits for a decision.")

    @column(gettext_lazy("message"), "message_key")
    def message(self, half: HalfMessage) -> SafeString:
        """Show the message key and the topic."""
        return two_lines(half.message_key, half.topic)

    @column(gettext_lazy("state"), "state")
    def state_badge(self, half: HalfMessage) -> SafeString:
        """Show the state, and who has decided."""
        return two_lines(badge(half), half.get_decided_by_display() if half.decided_by else "")

    @column(gettext_lazy("who is asked"), "checker")
    def asked(self, half: HalfMessage) -> SafeString:
        """Show the checker or the producer, and whether it is missing."""
        lesser = _("⚠ not in this project") if missing_checker(half) else half.producer and _("remote producer")
        return two_lines(half.checker or half.producer, lesser)

    @column(gettext_lazy("checks"), "checks")
    def checks_made(self, half: HalfMessage) -> SafeString:
        """Show how often a checker was reached, and how often it still will be asked."""
        left = _("%(n)d left") % {"n": half.checks_left} if half.state == HalfState.PREPARED else ""
        return two_lines(half.checks, left)

    @column(gettext_lazy("next check"), "next_check_at")
    def next_check(self, half: HalfMessage) -> object:
        """Show when it is asked about next."""
        if half.owner:
            return _("being asked")
        return NOTHING if half.next_check_at is None else when(half.next_check_at)

    @column(gettext_lazy("prepared"), "prepared_at")
    def prepared(self, half: HalfMessage) -> object:
        """Show how old it is."""
        return when(half.prepared_at)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and above it what needs a person."""
        context = {"missing_checkers": missing_checkers(), "chart": age_chart()}
        return super().changelist_view(request, context | (extra_context or {}))

    def row_context(self, request: HttpRequest, row: HalfMessage) -> dict[str, Any]:
        """Return what the page of one half message shows."""
        return half_context(request, row) | {"buttons": self.buttons(request, row)}

    def about(self, row: HalfMessage) -> SafeString:
        """Return who is asked."""
        return format_html("<bdi>{}</bdi>", row.checker or row.producer)
