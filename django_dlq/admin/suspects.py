"""The messages that were in hand when a process died, until it is known which of them it died of."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.display import Labelled, two_lines, when
from django_dlq.admin.filters import ValuesFilter
from django_dlq.admin.read_only import ReadOnlyAdmin, column
from django_dlq.conf import conf
from django_dlq.models import Suspect


@admin.register(Suspect)
class SuspectAdmin(ReadOnlyAdmin):
    """Suspects, those with the most deaths first. They go by themselves: handled, or as dead letters."""

    list_display = ("message", "place", "how_many", "who", "tried")
    list_display_links = ("message",)
    list_filter = (("group", ValuesFilter),)
    ordering = ("-deaths", "pk")
    search_help_text = gettext_lazy("A message key. With * at the end: all that begin with it.")
    empty_list = gettext_lazy("No message is suspected of killing its process.")

    @column(gettext_lazy("message key"), "message_key")
    def message(self, row: Suspect) -> SafeString:
        """Show the message's key and its group."""
        return two_lines(row.message_key, row.group)

    @column(gettext_lazy("place"))
    def place(self, row: Suspect) -> SafeString:
        """Show where it is in its topic."""
        return two_lines(row.topic, _("partition %(partition)d, offset %(offset)d") % _place(row))

    @column(gettext_lazy("deaths"), "deaths")
    def how_many(self, row: Suspect) -> SafeString:
        """Show how many processes have died with it, and what that means."""
        return two_lines(_deaths(row), _meaning(row))

    @column(gettext_lazy("handler"), "handler")
    def who(self, row: Suspect) -> SafeString:
        """Show who handles it, and in which process."""
        return two_lines(Labelled(row.handler).short, row.owner)

    @column(gettext_lazy("last tried"), "begun_at")
    def tried(self, row: Suspect) -> object:
        """Show since when it is, or was, in hand."""
        return when(row.begun_at)

    def row_context(self, request: HttpRequest, row: Suspect) -> dict[str, Any]:
        """Return all that is known of it."""
        facts = [
            (_("Message key"), row.message_key),
            (_("Message id"), row.message_id),
            (_("Group"), row.group),
            (_("Handler"), row.handler),
            (_("Topic"), row.topic),
            (_("Place"), _("partition %(partition)d, offset %(offset)d") % _place(row)),
            (_("Deaths"), two_lines(_deaths(row), _meaning(row))),
            (_("Last in the hands of"), row.owner),
            (_("Last tried"), when(row.begun_at)),
        ]
        return {"facts": facts}


def _place(row: Suspect) -> dict[str, int]:
    return {"partition": row.partition, "offset": row.offset}


def _deaths(row: Suspect) -> SafeString | str:
    if row.deaths < 2:
        return _("1 of %(most)d") % {"most": conf.DLQ_MOST_DEATHS}
    text = _("%(deaths)d of %(most)d") % {"deaths": row.deaths, "most": conf.DLQ_MOST_DEATHS}
    icon = format_html('<span class="dlq-icon" aria-hidden="true">✖</span> {}', text)
    return format_html('<span class="dlq-state dlq-state-dead">{}</span>', icon)


def _meaning(row: Suspect) -> str:
    if row.deaths < 2:
        return _("in hand with others, or being handled now")
    return _("alone in hand, or being handled alone now")
