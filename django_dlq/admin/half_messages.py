"""The pages of half messages: who waits for what, what the checks said, and a person's decisions."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.confirm import too_many
from django_dlq.admin.display import NOTHING, two_lines, when
from django_dlq.admin.filters import FirstValuesFilter
from django_dlq.admin.half_confirm import allowed_or_403, confirm_page, confirm_view
from django_dlq.admin.half_display import ICONS, age_chart, half_badge, missing_checker, missing_checkers
from django_dlq.admin.half_page import half_context
from django_dlq.admin.half_verbs import ASK_AGAIN, COMMIT, HALF_VERBS, ROLLBACK, HalfVerb
from django_dlq.admin.read_only import ReadOnlyAdmin, column
from django_dlq.admin.verbs import MOST_LETTERS
from django_dlq.models import HalfMessage, HalfState

OPEN, ALL = "open", "all"


class HalfStateFilter(admin.SimpleListFilter):
    """Half messages in one state. Without a choice: those that nobody has decided."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [
            (OPEN, _("not decided")),
            *((state.value, f"{ICONS[state]} {state.label}") for state in HalfState),
            (ALL, _("All")),
        ]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Return the links, the default first."""
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": (self.value() or OPEN) == value, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrow the list; a state that does not exist shows nothing, rather than all."""
        chosen = self.value() or OPEN
        if chosen == ALL:
            return queryset
        return queryset.filter(decided_at=None) if chosen == OPEN else queryset.filter(state=chosen)


@admin.register(HalfMessage)
class HalfMessageAdmin(ReadOnlyAdmin):
    """Half messages. Each act takes a permission of its own, which is checked where it is done too."""

    actions = ("commit_selected", "rollback_selected", "ask_again_selected")  # type: ignore[assignment]
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
    empty_list = gettext_lazy("No half message waits for a decision.")

    @column(gettext_lazy("message"), "message_key")
    def message(self, half: HalfMessage) -> SafeString:
        """Show the message key and the topic."""
        return two_lines(half.message_key, half.topic)

    @column(gettext_lazy("state"), "state")
    def state_badge(self, half: HalfMessage) -> SafeString:
        """Show the state, and who has decided."""
        return two_lines(half_badge(half.state), half.get_decided_by_display() if half.decided_by else "")

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

    def has_commit_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may commit."""
        return not COMMIT.missing(request.user)

    def has_rollback_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may roll back."""
        return not ROLLBACK.missing(request.user)

    def has_ask_again_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may have checkers asked again."""
        return not ASK_AGAIN.missing(request.user)

    @admin.action(description=COMMIT.label, permissions=["commit"])
    def commit_selected(self, request: HttpRequest, queryset: QuerySet[HalfMessage]) -> HttpResponse | None:
        """Ask before committing the chosen ones."""
        return self._ask(request, COMMIT, queryset)

    @admin.action(description=ROLLBACK.label, permissions=["rollback"])
    def rollback_selected(self, request: HttpRequest, queryset: QuerySet[HalfMessage]) -> HttpResponse | None:
        """Ask before rolling back the chosen ones."""
        return self._ask(request, ROLLBACK, queryset)

    @admin.action(description=ASK_AGAIN.label, permissions=["ask_again"])
    def ask_again_selected(self, request: HttpRequest, queryset: QuerySet[HalfMessage]) -> HttpResponse | None:
        """Ask before having the checkers of the chosen ones asked again."""
        return self._ask(request, ASK_AGAIN, queryset)

    def _ask(self, request: HttpRequest, verb: HalfVerb, queryset: QuerySet[HalfMessage]) -> HttpResponse | None:
        # "Select all" has just run the filter again. From here on they are pinned, and their number is shown.
        allowed_or_403(request, self, verb)
        ids = list(queryset.values_list("pk", flat=True)[: MOST_LETTERS + 1])
        if len(ids) > MOST_LETTERS:
            messages.warning(request, too_many())
            return None
        return confirm_page(request, self, verb, ids=ids, filters=request.GET.urlencode())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, above it what needs a person, and a button per act: who may not do it sees why."""
        verbs = [
            {"action": f"{verb.name}_selected", "verb": verb, "why_not": verb.why_not(request.user)}
            for verb in HALF_VERBS.values()
        ]
        context = {"verbs": verbs, "missing_checkers": missing_checkers(), "chart": age_chart()}
        return super().changelist_view(request, context | (extra_context or {}))

    def row_context(self, request: HttpRequest, row: HalfMessage) -> dict[str, Any]:
        """Return what the page of one half message shows."""
        return half_context(request, self.admin_site, row)

    def get_urls(self) -> list[URLPattern]:
        """Put the acts before the page of a row, whose pattern takes everything."""
        wrap = self.admin_site.admin_view
        one = [
            path(f"<int:pk>/{name}/", wrap(partial(self.confirm_one, name=name)), name=f"django_dlq_halfmessage_{name}")
            for name in HALF_VERBS
        ]
        confirm = path(
            "confirm/<str:name>/", wrap(partial(confirm_view, admin=self)), name="django_dlq_halfmessage_confirm"
        )
        return [*one, confirm, *super().get_urls()]

    def confirm_one(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """Ask before deciding one half message."""
        verb = HALF_VERBS[name]
        allowed_or_403(request, self, verb)
        if not HalfMessage.objects.filter(pk=pk).exists():
            raise Http404
        return confirm_page(request, self, verb, ids=[pk], filters=request.GET.get("_changelist_filters", ""))
