"""What the page of one dead letter shows: what it is, what went wrong, what to do, and what happened so far."""

from typing import Any, Final

from django.contrib.admin.sites import AdminSite
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.display import ICONS, Labelled, absent, badge, relative, when
from django_dlq.admin.links import list_link, page_link
from django_dlq.admin.message_page import identity_facts, message_context
from django_dlq.admin.read_only import Fact
from django_dlq.models import (
    DeadLetter,
    DeadLetterEvent,
    InboxMessage,
    Kind,
    OutboxMessage,
    PublishedMessage,
    Source,
    State,
    behind,
    count_parked,
    count_waiting,
    letter_before,
)
from django_dlq.models.parked import MOST_COUNTED

MOST_EVENTS: Final = 200
SAME_CAUSE_COUNTED: Final = 1_000

ADVICE = {
    State.DEAD: gettext_lazy("Nobody tries this again unless you do. Find the cause, then replay, edit or discard."),
    State.REPLAYING: gettext_lazy(
        "It was sent again, and its outcome is awaited. If none comes, restore it: then it is dead again."
    ),
    State.PARKED: gettext_lazy(
        "It waits, so that the messages of its key are handled in order. It goes on by itself when those before it are "
        "settled. You need not do anything about this one."
    ),
    State.RESOLVED: gettext_lazy("This is settled. There is nothing to do."),
    State.DISCARDED: gettext_lazy("Somebody decided not to send this. Restore it if that was wrong."),
    State.COMPENSATED: gettext_lazy("This failed, and your code made it good. The timeline says what did it."),
}

EVENT_ICONS = {
    Kind.FAILED: ICONS[State.DEAD],
    Kind.REPLAYED: ICONS[State.REPLAYING],
    Kind.EDITED: "✎",
    Kind.DISCARDED: ICONS[State.DISCARDED],
    Kind.RESTORED: "↺",
    Kind.RESOLVED: ICONS[State.RESOLVED],
    Kind.SKIPPED: "↷",
    Kind.COMPENSATED: ICONS[State.COMPENSATED],
    Kind.PARKED: ICONS[State.PARKED],
    Kind.RELEASED: ICONS[State.RETRYING],
}

PARTS = {
    "body": gettext_lazy("body"),
    "headers": gettext_lazy("headers"),
    "key": gettext_lazy("key"),
    "tag": gettext_lazy("tag"),
}


def letter_context(request: HttpRequest, site: AdminSite, letter: DeadLetter) -> dict[str, Any]:
    """Return everything that the page of a letter shows."""
    events = list(letter.events.order_by("-id")[: MOST_EVENTS + 1])
    error = Labelled(letter.error_class)
    return {
        "letter": letter,
        "error": error,
        "badge": badge(letter),
        "advice": _advice(letter),
        "failure_facts": _failure_facts(letter),
        "facts": [*identity_facts(letter), *_place_facts(letter)],
        "events": [_line(site, event) for event in events[:MOST_EVENTS]],
        "has_more_events": len(events) > MOST_EVENTS,
        "same_cause": _same_cause(site, letter),
        "original_of_this": letter.corrects_id and _letter_link(site, letter.corrects_id),
        "copies": [(copy, _letter_link(site, copy)) for copy in letter.corrected_by.values_list("pk", flat=True)],
        "elsewhere": _elsewhere(request, site, letter),
        "waiting_behind": count_waiting(behind(letter))[0] if letter.holds_key else "",
        "parked_behind": _parked_behind(letter),
        "before_this": _numbered(site, letter_before(letter)),
        **message_context(request, letter),
    }


def _advice(letter: DeadLetter) -> str:
    if letter.state != State.RETRYING:
        return str(ADVICE[State(letter.state)])
    due = letter.next_attempt_at
    return _("It is tried again by itself, %(when)s. You need not do anything.") % {
        "when": _("next") if due is None else relative(due)
    }


def _failure_facts(letter: DeadLetter) -> list[Fact]:
    where = _("sending it") if letter.source == Source.RELAY else _("handling it")
    failed = [(_("First failed"), when(letter.first_failed_at)), (_("Last failed"), when(letter.last_failed_at))]
    if not letter.error_class:
        failed = [(_("Parked"), when(letter.first_failed_at))]
    return [
        *([(_("Failed while"), where)] if letter.error_class else []),
        *([(_("Group"), letter.group), (_("Handler"), letter.handler)] if letter.group else []),
        (_("Release"), absent(letter.release or None)),
        *failed,
        *([(_("Settled"), when(letter.closed_at))] if letter.closed_at else []),
    ]


def _place_facts(letter: DeadLetter) -> list[Fact]:
    place = "-" if letter.partition is None else f"{letter.partition} / {letter.offset}"
    return [(_("Partition / offset"), place), (_("Sent"), when(letter.sent_at))]


def _line(site: AdminSite, event: DeadLetterEvent) -> dict[str, Any]:
    data = event.data
    return {
        "event": event,
        "icon": EVENT_ICONS.get(Kind(event.kind), ""),
        "at": when(event.at),
        "attempt": data.get("attempt"),
        "error": data.get("error_class", ""),
        "error_message": data.get("error_message", ""),
        "traceback": data.get("traceback", ""),
        "by": data.get("by", ""),
        "changed": ", ".join(str(PARTS.get(name, name)) for name in data.get("changed", ())),
        **{name: _numbered(site, data.get(name)) for name in ("copy", "original", "behind", "after")},
    }


def _numbered(site: AdminSite, pk: int | None) -> tuple[int, str] | None:
    return None if pk is None else (pk, _letter_link(site, pk))


def _parked_behind(letter: DeadLetter) -> str:
    """Return how many messages are parked behind a letter, or nothing if none is."""
    count = count_parked(letter)
    return f"{MOST_COUNTED:,}+" if count > MOST_COUNTED else str(count or "")


def _same_cause(site: AdminSite, letter: DeadLetter) -> dict[str, Any] | None:
    if not letter.fingerprint:
        return None
    others = DeadLetter.objects.filter(fingerprint=letter.fingerprint).exclude(pk=letter.pk)
    count = others.order_by()[: SAME_CAUSE_COUNTED + 1].count()
    return {
        "count": f"{SAME_CAUSE_COUNTED}+" if count > SAME_CAUSE_COUNTED else count,
        "url": page_link(site, DeadLetter, "changelist", fingerprint=letter.fingerprint, state="all"),
    }


def _elsewhere(request: HttpRequest, site: AdminSite, letter: DeadLetter) -> list[dict[str, Any]]:
    """Return where else the message key is to be found, on the pages that the person may see."""
    handled = InboxMessage.objects.filter(message_key=letter.message_key)
    published = PublishedMessage.objects.filter(message_key=letter.message_key)
    places: list[tuple[type[Model], Any, Any]] = [
        (OutboxMessage, _("Waiting to be sent"), OutboxMessage.objects.filter(message_key=letter.message_key).count()),
        (PublishedMessage, _("Sent"), published.count()),
        (InboxMessage, _("Handled by groups"), ", ".join(handled.values_list("group", flat=True)[:10]) or 0),
    ]
    return [
        {"label": label, "found": found, "url": url}
        for model, label, found in places
        if (url := list_link(request, site, model, q=letter.message_key))
    ]


def _letter_link(site: AdminSite, pk: int) -> str:
    return page_link(site, DeadLetter, "change", pk)
