"""How values look on the pages. Whatever came with a message is text here, never markup."""

from datetime import datetime, timedelta
from typing import Final

from django.template.defaultfilters import date as format_date
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.models import DeadLetter, HalfMessage, HalfState, State

NOTHING: Final = "-"

ICONS: Final[dict[str, str]] = {
    State.RETRYING: "↻",
    State.DEAD: "✖",
    State.REPLAYING: "➤",
    State.PARKED: "‖",
    State.RESOLVED: "✔",
    State.DISCARDED: "⊘",
    State.COMPENSATED: "⇄",
    HalfState.PREPARED: "◐",
    HalfState.UNDECIDED: "?",
    HalfState.COMMITTED: "✔",
    HalfState.ROLLED_BACK: "↶",
}


class Labelled(str):
    """A dotted name of which a list shows the last part, e.g. LogisticsDown of shop.logistics.LogisticsDown."""

    __slots__ = ()

    @property
    def short(self) -> str:
        """The part after the last dot."""
        return self.rpartition(".")[2] or self


def badge(row: DeadLetter | HalfMessage) -> SafeString:
    """Show a state as an icon and a word, so that colour alone never carries it."""
    return format_html(
        '<span class="dlq-state dlq-state-{}"><span class="dlq-icon" aria-hidden="true">{}</span> {}</span>',
        row.state,
        ICONS[row.state],
        row.get_state_display(),
    )


def when(at: datetime | None) -> SafeString | str:
    """Show a time both ways: how long ago or ahead, and the date with its time zone."""
    if at is None:
        return NOTHING
    return format_html(
        '<time class="dlq-when" datetime="{}">{} <span class="dlq-quiet">{}</span></time>',
        at.isoformat(),
        relative(at),
        absolute(at),
    )


def absolute(at: datetime) -> str:
    """Return a time to the second, in the page's time zone, which it names."""
    return format_date(timezone.localtime(at), "Y-m-d H:i:s T")


def relative(at: datetime) -> str:
    """Return how long ago or ahead a time is, in its largest unit."""
    now = timezone.now()
    if abs(at - now) < timedelta(minutes=1):
        return _("just now")
    if at > now:
        return _("in %(span)s") % {"span": timeuntil(at, now, depth=1)}
    return _("%(span)s ago") % {"span": timesince(at, now, depth=1)}


def two_lines(first: object, second: object) -> SafeString:
    """Show a value, and under it a lesser one if there is any; each keeps its own direction of writing."""
    lesser = format_html('<bdi class="dlq-quiet">{}</bdi>', second) if second else ""
    return format_html('<span class="dlq-two"><bdi class="dlq-first">{}</bdi>{}</span>', first, lesser)


def one_line(text: str, most: int = 140) -> str:
    """Return the first line of a text that has any, shortened."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= most else f"{line[: most - 1]}…"


def failure(letter: DeadLetter) -> SafeString:
    """Show what went wrong in two lines."""
    if not letter.error_class:
        return two_lines(_("not tried yet"), "")
    return two_lines(Labelled(letter.error_class).short, one_line(letter.error_message))


def absent(value: object) -> object:
    """Return a value for a page, or words for the one that is not there."""
    if value is None:
        return format_html('<span class="dlq-quiet">{}</span>', gettext_lazy("none"))
    if value == "":
        return format_html('<span class="dlq-quiet">{}</span>', gettext_lazy("empty"))
    return value
