"""What an edit changes, line by line, for a person to check before it is sent."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from django_dlq.admin.display import absent
from django_dlq.deadletters import UNCHANGED
from django_dlq.message import Headers, readable
from django_dlq.models import DeadLetter
from django_dlq.payload import describe

CONTEXT_LINES = 3
MOST_LINES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a comparison: `mark` is "+", "-", "…" between distant changes, or a space."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One part of the message that will differ."""

    part: Any
    lines: Sequence[Line] = ()
    before: object = ""
    after: object = ""
    note: str = ""


def differences(letter: DeadLetter, changes: dict[str, Any]) -> list[Difference]:
    """Return the parts that an edit changes."""
    found = []
    if changes["body"] is not UNCHANGED:
        found.append(_body(letter.body_bytes, changes["body"]))
    if changes["headers"] is not UNCHANGED:
        before, after = _header_lines(letter.publisher_headers()), _header_lines(changes["headers"])
        found.append(Difference(part=_("Headers"), lines=_compare(before, after)))
    if changes["key"] is not UNCHANGED:
        note = _("Messages of one key keep their order; the copy keeps it with those of its new key.")
        found.append(Difference(part=_("Key"), before=absent(letter.key), after=absent(changes["key"]), note=note))
    if changes["tag"] is not UNCHANGED:
        found.append(Difference(part=_("Tag"), before=absent(letter.tag), after=absent(changes["tag"])))
    return found


def _body(before: bytes | None, after: bytes | None) -> Difference:
    if before is None or after is None:
        old, new = (_("no body (a tombstone)") if body is None else readable(body) for body in (before, after))
        return Difference(part=_("Body"), before=old, after=new)
    old, new = _pretty(before), _pretty(after)
    if old == new:  # JSON with other spaces: the bytes are what differs
        note = _("Only spaces and line ends change.")
        return Difference(part=_("Body"), before=readable(before), after=readable(after), note=note)
    return Difference(part=_("Body"), lines=_compare(old.split("\n"), new.split("\n")))


def _pretty(body: bytes) -> str:
    shown = describe(body, masked=False)
    return shown.pretty or shown.raw or ""


def _header_lines(headers: Headers) -> list[str]:
    return [
        f"{name}: {readable(value)}" if value is not None else f"{name} ({_('no value')})" for name, value in headers
    ]


def _compare(before: Sequence[str], after: Sequence[str]) -> Sequence[Line]:
    unified = difflib.unified_diff(before, after, n=CONTEXT_LINES, lineterm="")
    lines = list(_lines(unified))[1:]  # the first mark of a gap
    if len(lines) > MOST_LINES:
        left_out = _("… %(count)d more lines") % {"count": len(lines) - MOST_LINES}
        return [*lines[:MOST_LINES], Line(mark="…", text=left_out)]
    return lines


def _lines(unified: Iterable[str]) -> Iterable[Line]:
    for place, line in enumerate(unified):
        if place < 2:  # the names of the files
            continue
        yield Line(mark="…", text="") if line.startswith("@@") else Line(mark=line[:1], text=line[1:])
