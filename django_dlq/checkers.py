"""Which checkers there are: the functions that are asked what became of a half message."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from django_dlq.exceptions import CheckerConflict, UnknownChecker
from django_dlq.message import IDENTITY_LENGTH, ReceivedMessage, is_text
from django_dlq.registry import dotted_path


class Verdict(StrEnum):
    """What a checker says about a half message: that its work was done, was not and will not be, or neither yet."""

    COMMIT = "commit"
    ROLLBACK = "rollback"
    UNKNOWN = "unknown"


CheckerFunction = Callable[[ReceivedMessage], Verdict]
Function = TypeVar("Function", bound=CheckerFunction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """A function that is asked, by its name, and how long it may take; None is DLQ_CHECKBACK_TIMEOUT."""

    name: str
    function: CheckerFunction
    timeout: timedelta | None = None


@dataclass(slots=True)
class Checkers:
    """The checkers of this process, by name."""

    by_name: dict[str, Checker] = field(default_factory=dict)

    def add(self, checker: Checker) -> None:
        """Add a checker, in place of the same function; raise CheckerConflict if another one has the name."""
        known = self.by_name.get(checker.name)
        if known is not None and dotted_path(known.function) != dotted_path(checker.function):
            raise CheckerConflict(
                f"{dotted_path(known.function)} and {dotted_path(checker.function)} are both the checker "
                f"{checker.name!r}; give one of them another name"
            )
        self.by_name[checker.name] = checker

    def expect(self, name: str) -> Checker:
        """Return the checker of this name; raise UnknownChecker if there is none."""
        found = self.by_name.get(name)
        if found is None:
            known = ", ".join(sorted(self.by_name)) or "none"
            raise UnknownChecker(f"there is no checker {name!r}; the checkers are: {known}")
        return found


checkers = Checkers()


def checker(name: str, *, timeout: timedelta | None = None) -> Callable[[Function], Function]:
    """Register a function that says what became of half messages which name it.

    The function is called with the message as a handler would receive it: `message.record.timestamp` is when it was
    prepared, and `message.attempt` counts the checks from 1. It returns a Verdict. COMMIT: the work was done. ROLLBACK:
    it was not done, and cannot be done any more. UNKNOWN: neither can be said yet; it is asked again later. An
    exception counts as UNKNOWN, and is kept. It may be called on any machine that runs `dlq_checkback`, several at
    once, twice for one message, and while the process that prepared it is still at work. The function stays callable.

    timeout: how long a call may take, DLQ_CHECKBACK_TIMEOUT if not given; a call that exceeds it fails at its next
    database statement. Raises CheckerConflict if another function has the name.
    """
    if not is_text(name) or not 0 < len(name) <= IDENTITY_LENGTH:
        raise TypeError(f"a checker's name is a text of 1 to {IDENTITY_LENGTH} characters, not {name!r}")
    if timeout is not None and not (isinstance(timeout, timedelta) and timeout > timedelta(0)):
        raise TypeError(f"timeout is a timedelta above 0, not {timeout!r}")

    def register(function: Function) -> Function:
        checkers.add(Checker(name=name, function=function, timeout=timeout))
        return function

    return register
