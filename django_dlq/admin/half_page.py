"""What the page of one half message shows: what it waits for, what to do, and every check."""

from typing import Any, Final

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.display import absent, badge, when
from django_dlq.admin.half_display import missing_checker
from django_dlq.admin.message_page import identity_facts, message_context
from django_dlq.admin.read_only import Fact
from django_dlq.models import Answer, HalfMessage, HalfMessageCheck, HalfState

MOST_CHECKS: Final = 200

ADVICE: Final = {
    HalfState.PREPARED: gettext_lazy(
        "Nobody has said yet what became of the work. Its checker is asked by itself; you need not do anything."
    ),
    HalfState.UNDECIDED: gettext_lazy(
        "Its checker was asked as often as it may be, and does not know. Find out what became of the work, then commit "
        "or roll back; or have it asked again."
    ),
    HalfState.COMMITTED: gettext_lazy("It was handed to the outbox, to be sent. There is nothing to do."),
    HalfState.ROLLED_BACK: gettext_lazy("It will never be sent. There is nothing to do."),
}
NOBODY = gettext_lazy(
    "Nobody can be asked: this project has no checker of this name. Put it back under its old name, or decide yourself."
)
ICONS: Final = {
    Answer.COMMIT: "✔",
    Answer.ROLLBACK: "↶",
    Answer.UNKNOWN: "?",
    Answer.UNREACHABLE: "✖",
    Answer.LOST: "…",
    Answer.ASKED_AGAIN: "↻",
}


def half_context(request: HttpRequest, half: HalfMessage) -> dict[str, Any]:
    """Return everything that the page of a half message shows."""
    lines = list(half.timeline.order_by("-id")[: MOST_CHECKS + 1])
    is_orphan = missing_checker(half)
    return {
        "half": half,
        "badge": badge(half),
        "advice": NOBODY if is_orphan else ADVICE[HalfState(half.state)],
        "is_orphan": is_orphan,
        "check_facts": _check_facts(half),
        "facts": [
            *identity_facts(half),
            (_("Priority"), half.priority),
            (_("Delay after the commit"), absent(half.delay)),
            (_("Expires after the commit"), absent(half.expires_in)),
        ],
        "lines": [_line(line) for line in lines[:MOST_CHECKS]],
        "has_more_lines": len(lines) > MOST_CHECKS,
        **message_context(request, half),
    }


def _check_facts(half: HalfMessage) -> list[Fact]:
    by = " ".join(part for part in (half.get_decided_by_display(), half.actor_name) if part)
    decided = [(_("Decided"), when(half.decided_at)), (_("Decided by"), by)] if half.decided_at else []
    return [
        (_("Checker"), absent(half.checker or None)),
        *([(_("Producer"), half.producer)] if half.producer else []),
        (_("Prepared"), when(half.prepared_at)),
        (_("Checks made / at most"), f"{half.checks} / {half.most_checks}"),
        (_("Time between checks"), half.check_every),
        *([(_("Next check"), when(half.next_check_at))] if half.next_check_at else []),
        *([(_("Being asked by"), half.owner)] if half.owner else []),
        *decided,
        *([(_("Reason"), half.reason)] if half.reason else []),
    ]


def _line(line: HalfMessageCheck) -> dict[str, Any]:
    return {"line": line, "icon": ICONS.get(Answer(line.answer), ""), "at": when(line.at)}
