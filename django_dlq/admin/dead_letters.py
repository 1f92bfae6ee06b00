"""The desk: dead letters, listed, shown, and acted on."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_dlq.admin.choosing import ChoosingAdmin
from django_dlq.admin.display import Labelled, badge, failure, relative, two_lines, when
from django_dlq.admin.editing.views import edit_view
from django_dlq.admin.filters import DependencyFilter, SameCauseFilter, StateFilter, ValuesFilter
from django_dlq.admin.letter_page import letter_context
from django_dlq.admin.letter_verbs import DISCARD, EDIT, LETTERS, REPLAY, RESTORE
from django_dlq.admin.read_only import column
from django_dlq.admin.stopped_groups import stopped_groups_context
from django_dlq.admin.verbs import Verb
from django_dlq.models import TRANSITIONS, DeadLetter
from django_dlq.models.dead_letter import ACTIVE

MOST_CAUSES: Final = 10


@admin.register(DeadLetter)
class DeadLetterAdmin(ChoosingAdmin):
    """Dead letters. Each act takes a permission of its own, which is checked where it is done too."""

    verbs = (REPLAY, EDIT, DISCARD, RESTORE)
    words = LETTERS
    transitions = TRANSITIONS
    list_display = ("message", "state_badge", "what_went_wrong", "where", "tries", "last_failed")
    list_display_links = ("message",)
    list_filter = (
        StateFilter,
        SameCauseFilter,
        DependencyFilter,
        "source",
        "holds_key",
        ("topic", ValuesFilter),
        ("group", ValuesFilter),
        ("error_class", ValuesFilter),
        ("release", ValuesFilter),
        "last_failed_at",
    )
    exact_search = search_fields = ("message_key", "message_id", "key")
    search_help_text = gettext_lazy("A message key, message id or key. With * at the end: all that begin with it.")
    ordering = ("-last_failed_at", "-pk")
    change_list_template = "admin/django_dlq/deadletter/change_list.html"
    detail_template = "admin/django_dlq/deadletter/detail.html"
    empty_list = gettext_lazy("No dead letters. Nothing needs you.")

    @column(gettext_lazy("message"), "message_key")
    def message(self, letter: DeadLetter) -> SafeString:
        """Show the message key and the topic."""
        return two_lines(letter.message_key, letter.topic)

    @column(gettext_lazy("state"), "state")
    def state_badge(self, letter: DeadLetter) -> SafeString:
        """Show the state, and whether others wait for it."""
        waits = letter.order_key is not None and letter.state in ACTIVE
        return two_lines(badge(letter), _("holds its key") if letter.holds_key or waits else "")

    @column(gettext_lazy("what went wrong"), "error_class")
    def what_went_wrong(self, letter: DeadLetter) -> SafeString:
        """Show the error's class and the first line of its message."""
        return failure(letter)

    @column(gettext_lazy("group"), "group")
    def where(self, letter: DeadLetter) -> SafeString:
        """Show who failed."""
        return two_lines(letter.group or letter.get_source_display(), Labelled(letter.handler).short)

    @column(gettext_lazy("tries"), "attempts")
    def tries(self, letter: DeadLetter) -> SafeString:
        """Show how often it was tried, and how often a person sent it again."""
        attempts = ngettext("%(n)d attempt", "%(n)d attempts", letter.attempts) % {"n": letter.attempts}
        replays = ngettext("%(n)d replay", "%(n)d replays", letter.replays) % {"n": letter.replays}
        return two_lines(attempts, replays if letter.replays else "")

    @column(gettext_lazy("last failed"), "last_failed_at")
    def last_failed(self, letter: DeadLetter) -> SafeString:
        """Show when it failed last, and when first."""
        first = _("first %(ago)s") % {"ago": relative(letter.first_failed_at)} if letter.attempts > 1 else ""
        return two_lines(when(letter.last_failed_at), first)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and above it which groups have stopped."""
        context = {"stopped_groups": stopped_groups_context(request, self.admin_site)}
        return super().changelist_view(request, context | (extra_context or {}))

    def row_context(self, request: HttpRequest, row: DeadLetter) -> dict[str, Any]:
        """Return what the page of a letter shows."""
        return letter_context(request, self.admin_site, row) | {"buttons": self.buttons(request, row)}

    def about(self, row: DeadLetter) -> SafeString:
        """Return what went wrong."""
        return failure(row)

    def choice_context(self, able: Sequence[DeadLetter]) -> dict[str, Any]:
        """Return how many of the chosen letters have which cause."""
        causes = Counter((letter.topic, letter.group, letter.error_class) for letter in able)
        found = causes.most_common(MOST_CAUSES)
        return {"causes": [(topic, group, Labelled(error), count) for (topic, group, error), count in found]}

    def act_view(self, request: HttpRequest, object_id: str, *, verb: Verb) -> HttpResponse:
        """Ask before something is done to one letter; an edit has pages of its own."""
        return edit_view(request, self, object_id) if verb is EDIT else super().act_view(request, object_id, verb=verb)
