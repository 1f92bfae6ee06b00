"""What a person may do to rows: the words for an act, who may do it, and what does it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One act: what it is called, what it does in plain words, and what it takes.

    `name` is the last part of the addresses of its pages. `act` is called with a row, `actor` and `reason`, and raises
    a DeskError or HalfMessageError if it is too late; a verb without it has pages of its own.
    """

    name: str
    label: Any
    question: Any
    effect: Any
    permissions: tuple[str, ...]
    act: Callable[..., Any] | None
    done: Any = ""
    on_row: bool = True
    needs_reason: bool = True
    is_main: bool = False
    is_risky: bool = False

    def missing(self, user: Any) -> list[str]:
        """Return the permissions that a person would need and does not have."""
        return [name for name in self.permissions if not user.has_perm(name)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How the pages speak of rows of one kind: whole sentences, since languages differ in more than the noun."""

    only_for: Any
    done: Any
    skipped: Any
    not_tried: Any
    reason_stays: Any
