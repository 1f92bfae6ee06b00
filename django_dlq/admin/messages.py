"""The pages of what goes well: the outbox, the published history and the inbox."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq import metrics
from django_dlq.admin.display import absent, one_line, two_lines, when
from django_dlq.admin.filters import FirstValuesFilter
from django_dlq.admin.message_page import identity_facts, message_context
from django_dlq.admin.read_only import ReadOnlyAdmin, column
from django_dlq.admin.relaying import relaying_context
from django_dlq.admin.stopped import stopped_context
from django_dlq.models import InboxMessage, OutboxMessage, Outcome, PublishedMessage, StoredMessage


class StoredMessageAdmin(ReadOnlyAdmin):
    """What the pages of messages share."""

    list_display_links = ("message",)

    @column(gettext_lazy("message key"), "message_key")
    def message(self, row: StoredMessage) -> SafeString:
        """Show the message key, and the key that keeps its order."""
        return two_lines(row.message_key, "" if row.key is None else _("key %(key)s") % {"key": one_line(row.key)})


@admin.register(OutboxMessage)
class OutboxMessageAdmin(StoredMessageAdmin):
    """Messages that wait to be sent."""

    list_display = ("message", "topic", "tag", "priority", "due", "expires", "waiting_since")
    list_filter = tuple((name, FirstValuesFilter) for name in ("topic", "priority", "broker"))
    exact_search = search_fields = ("message_key", "message_id", "key")
    search_help_text = gettext_lazy("A message key, message id or key. With * at the end: all that begin with it.")
    # Not by priority, and nothing counted: that would read all there is, however long the backlog.
    ordering = ("pk",)
    show_facets = admin.ShowFacets.NEVER
    empty_list = gettext_lazy("The outbox is empty: everything has been sent.")
    change_list_template = "admin/django_dlq/outboxmessage/change_list.html"

    @column(gettext_lazy("due"), "due_at")
    def due(self, row: OutboxMessage) -> object:
        """Show when it may be sent."""
        return _("now") if row.due_at is None else when(row.due_at)

    @column(gettext_lazy("expires"), "expires_at")
    def expires(self, row: OutboxMessage) -> object:
        """Show after when it must not be sent any more."""
        return _("never") if row.expires_at is None else when(row.expires_at)

    @column(gettext_lazy("written"), "created_at")
    def waiting_since(self, row: OutboxMessage) -> object:
        """Show since when it waits."""
        return when(row.created_at)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and above it what keeps messages here, on purpose or not."""
        context = {
            "relaying": relaying_context(metrics.relays()),
            "stopped": stopped_context(request, self.admin_site),
        }
        return super().changelist_view(request, context | (extra_context or {}))

    def row_context(self, request: HttpRequest, row: OutboxMessage) -> dict[str, Any]:
        """Return the message and its place in the queue."""
        facts = [
            *identity_facts(row),
            (_("Priority"), row.priority),
            (_("Due"), self.due(row)),
            (_("Expires"), self.expires(row)),
            (_("Written"), when(row.created_at)),
            (_("Replay for group"), absent(row.group or None)),
        ]
        return {"facts": facts, **message_context(request, row)}


@admin.register(PublishedMessage)
class PublishedMessageAdmin(StoredMessageAdmin):
    """Messages that the broker has confirmed."""

    list_display = ("message", "topic", "tag", "place", "published")
    list_filter = ("published_at",)
    search_help_text = gettext_lazy("A message key. With * at the end: all that begin with it.")
    empty_list = gettext_lazy("Nothing has been published yet, or retention has deleted it.")

    @column(gettext_lazy("partition / offset"))
    def place(self, row: PublishedMessage) -> str:
        """Show where the broker has it."""
        return "-" if row.partition is None else f"{row.partition} / {row.offset}"

    @column(gettext_lazy("published"), "published_at")
    def published(self, row: PublishedMessage) -> object:
        """Show when the broker confirmed it."""
        return when(row.published_at)

    def row_context(self, request: HttpRequest, row: PublishedMessage) -> dict[str, Any]:
        """Return the message and where it lies."""
        facts = [
            *identity_facts(row),
            (_("Partition / offset"), self.place(row)),
            (_("Priority"), row.priority),
            (_("Written"), when(row.created_at)),
            (_("Published"), when(row.published_at)),
            (_("Replay for group"), absent(row.group or None)),
        ]
        return {"facts": facts, **message_context(request, row)}


@admin.register(InboxMessage)
class InboxMessageAdmin(ReadOnlyAdmin):
    """Which group is done with which message, and why it was not simply handled if it was not."""

    list_display = ("message_key", "group", "topic", "what_was_done", "handled")
    list_filter = ("outcome", "handled_at")
    search_help_text = gettext_lazy("A message key. With * at the end: all that begin with it.")
    empty_list = gettext_lazy("No message has been handled yet, or retention has deleted it.")

    @column(gettext_lazy("outcome"), "outcome")
    def what_was_done(self, row: InboxMessage) -> SafeString:
        """Show the outcome, and the reason if there is one."""
        return two_lines(Outcome(row.outcome).label, row.reason)

    @column(gettext_lazy("handled"), "handled_at")
    def handled(self, row: InboxMessage) -> object:
        """Show when the handler's transaction wrote it."""
        return when(row.handled_at)

    def row_context(self, request: HttpRequest, row: InboxMessage) -> dict[str, Any]:
        """Return the row."""
        facts = [
            (_("Message key"), row.message_key),
            (_("Group"), row.group),
            (_("Topic"), row.topic),
            (_("Message id"), row.message_id),
            (_("Outcome"), Outcome(row.outcome).label),
            *([(_("Reason"), row.reason)] if row.reason else []),
            (_("Handled"), when(row.handled_at)),
        ]
        return {"facts": facts}
