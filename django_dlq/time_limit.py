"""A limit for how long a call may take.

Python cannot stop a thread from outside. So whoever exceeds his limit is stopped at his next database statement; who
makes none goes on, and is found among the `overdue`.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connections

from django_dlq.exceptions import TimeLimitExceeded


@dataclass(frozen=True, slots=True)
class Call:
    """A call that runs under a limit; `about` is whatever its caller needs to know it again."""

    about: Any
    limit: timedelta
    started: float = field(default_factory=time.monotonic)
    thread: int = field(default_factory=threading.get_ident)

    @property
    def overtime(self) -> float:
        """The seconds that it has run beyond its limit; less than 0 before."""
        return time.monotonic() - self.started - self.limit.total_seconds()


_calls: dict[int, Call] = {}  # by the thread that runs it


@contextmanager
def within(limit: timedelta, *, about: object) -> Iterator[Call]:
    """Raise TimeLimitExceeded at the first database statement of this thread after the limit, and at each later one."""
    call = Call(about, limit)
    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(_stopping(call)))
        _calls[call.thread] = call
        stack.callback(_calls.pop, call.thread)
        yield call


def overdue(seconds: float) -> list[Call]:
    """Return the calls of this process that run longer than this beyond their limits."""
    return [call for call in list(_calls.values()) if call.overtime > seconds]


def _stopping(call: Call) -> Callable[..., Any]:
    def execute(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        # Only what ends a savepoint may still run: the transaction must come to its end in good order.
        if call.overtime > 0 and not str(sql).startswith(("ROLLBACK TO", "RELEASE")):
            raise TimeLimitExceeded(f"it has taken longer than its limit of {call.limit.total_seconds():g} seconds")
        return execute(sql, *rest)

    return execute
