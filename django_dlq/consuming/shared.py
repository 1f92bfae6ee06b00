"""What those who make retries in the threads of one process know of each other."""

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from django.db import connections, router

from django_dlq.consuming.rates import Rates
from django_dlq.models import DeadLetter
from django_dlq.registry import Handler

TIMES_AS_LONG = 20
LONGEST_REST = 1.0
"""Seconds: the most that nobody looks past the handlers that are full, however long a look takes."""


class Attempt(NamedTuple):
    """A retry that is being made, and the driver's connection on which."""

    letter: DeadLetter
    driver: Any


class Shared:
    """How many retries of each handler are being made: no more than its `concurrency`, and than its rate gives."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self._claiming = threading.Lock()
        self._running = Counter[str]()
        # Past which handlers nothing was found, and until when nobody looks again.
        self._past: tuple[Collection[str], float] = (), 0.0
        # By the thread that makes it.
        self.attempts: dict[int, Attempt] = {}

    @property
    def is_busy(self) -> bool:
        """Whether anybody is making a retry."""
        return self._running.total() > 0

    def claiming(self) -> AbstractContextManager[Any]:
        """Let one at a time look which handlers may be called, and take a letter of one."""
        return self._claiming

    def is_full(self, handler: Handler) -> bool:
        """Tell whether a handler may not be called once more."""
        return self._running[handler.name] >= handler.concurrency or self.is_too_soon(handler)

    def is_too_soon(self, handler: Handler) -> bool:
        """Tell whether its rate is what a handler has to wait for."""
        return not self.rates.there(handler, "retries")

    def may_look_past(self, full: Collection[Handler]) -> bool:
        """Tell whether it is time to look for letters that none of these handlers takes.

        Where many of theirs are due, such a look goes over all of them, and is not made again and again in vain.
        """
        names, until = self._past
        return time.monotonic() >= until or names != {handler.name for handler in full}

    def found_nothing_past(self, full: Collection[Handler], *, seconds: float) -> None:
        """Hear that such a look was in vain, and how long it took."""
        until = time.monotonic() + min(TIMES_AS_LONG * seconds, LONGEST_REST)
        self._past = {handler.name for handler in full}, until

    def began(self, handler: Handler | None) -> None:
        """Count a retry; one without a handler counts too, and limits nobody."""
        self._running["" if handler is None else handler.name] += 1
        if handler is not None:
            self.rates.take(handler, "retries")

    def ended(self, handler: Handler | None) -> None:
        """Count its end."""
        with self._claiming:
            self._running["" if handler is None else handler.name] -= 1

    @contextmanager
    def attempting(self, letter: DeadLetter) -> Iterator[None]:
        """Let it be known which letter this thread has locked, inside the transaction that has."""
        thread = threading.get_ident()
        self.attempts[thread] = Attempt(letter, connections[router.db_for_write(DeadLetter)].connection)
        try:
            yield
        finally:
            del self.attempts[thread]
