"""The desk: dead letters, listed, shown, and acted on."""

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_dlq.admin.confirm import allowed_or_403, confirm_page, confirm_view, too_many
from django_dlq.admin.display import Labelled, badge, failure, relative, two_lines, when
from django_dlq.admin.editing.views import edit_view
from django_dlq.admin.filters import DependencyFilter, SameCauseFilter, StateFilter, ValuesFilter
from django_dlq.admin.letter_page import letter_context
from django_dlq.admin.read_only import ReadOnlyAdmin, column
from django_dlq.admin.stopped_groups import stopped_groups_context
from django_dlq.admin.verbs import BULK, DISCARD, MOST_LETTERS, REPLAY, RESTORE, Verb
from django_dlq.models import DeadLetter
from django_dlq.models.dead_letter import ACTIVE


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Dead letters. Each act takes a permission of its own, which is checked where it is done too."""

    actions = ("replay_selected", "discard_selected", "restore_selected")  # type: ignore[assignment]
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
        return two_lines(badge(letter.state), _("holds its key") if letter.holds_key or waits else "")

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

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may replay."""
        return not REPLAY.missing(request.user)

    def has_discard_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may discard."""
        return not DISCARD.missing(request.user)

    def has_restore_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may restore."""
        return not RESTORE.missing(request.user)

    @admin.action(description=REPLAY.label, permissions=["replay"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Ask before replaying the chosen letters."""
        return self._ask(request, REPLAY, queryset)

    @admin.action(description=DISCARD.label, permissions=["discard"])
    def discard_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Ask before discarding the chosen letters."""
        return self._ask(request, DISCARD, queryset)

    @admin.action(description=RESTORE.label, permissions=["restore"])
    def restore_selected(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        """Ask before restoring the chosen letters."""
        return self._ask(request, RESTORE, queryset)

    def _ask(self, request: HttpRequest, verb: Verb, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        # "Select all" has just run the filter again. From here on the letters are pinned, and their number is shown.
        allowed_or_403(request, self, verb)
        ids = list(queryset.values_list("pk", flat=True)[: MOST_LETTERS + 1])
        if len(ids) > MOST_LETTERS:
            messages.warning(request, too_many())
            return None
        return confirm_page(request, self, verb, ids=ids, filters=request.GET.urlencode())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, with a button per act: who may not do it sees why. Above it, which groups have stopped."""
        verbs = [
            {"action": f"{verb.name}_selected", "verb": verb, "why_not": verb.why_not(request.user)}
            for verb in BULK.values()
        ]
        context = {"verbs": verbs, "stopped_groups": stopped_groups_context(request, self.admin_site)}
        return super().changelist_view(request, context | (extra_context or {}))

    def row_context(self, request: HttpRequest, row: DeadLetter) -> dict[str, Any]:
        """Return what the page of a letter shows."""
        return letter_context(request, self.admin_site, row)

    def get_urls(self) -> list[URLPattern]:
        """Put the acts before the page of a row, whose pattern takes everything."""
        wrap = self.admin_site.admin_view
        one = [
            path(
                f"<int:pk>/{name}/",
                wrap(partial(self.confirm_one, name=name)),
                name=f"django_dlq_deadletter_{name}",
            )
            for name in BULK
        ]
        confirm = path(
            "confirm/<str:name>/", wrap(partial(confirm_view, admin=self)), name="django_dlq_deadletter_confirm"
        )
        edit = path("<int:pk>/edit/", wrap(partial(edit_view, admin=self)), name="django_dlq_deadletter_edit")
        return [*one, edit, confirm, *super().get_urls()]

    def confirm_one(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """Ask before doing something to one letter."""
        verb = BULK[name]
        allowed_or_403(request, self, verb)
        if not DeadLetter.objects.filter(pk=pk).exists():
            raise Http404
        return confirm_page(request, self, verb, ids=[pk], filters=request.GET.get("_changelist_filters", ""))
