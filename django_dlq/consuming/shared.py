"""What those who make retries in the threads of one process know of each other."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

from django.db import connections, router

from django_dlq.models import DeadLetter
from django_dlq.registry import Handler


class Attempt(NamedTuple):
    """A retry that is being made, and the driver's connection on which."""

    letter: DeadLetter
    driver: Any


class Shared:
    """How many retries of each handler are being made: no more than its `concurrency`."""

    def __init__(self) -> None:
        self._claiming = threading.Lock()
        self._running = Counter[str]()
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
        return self._running[handler.name] >= handler.concurrency

    def began(self, handler: Handler | None) -> None:
        """Count a retry; one without a handler counts too, and limits nobody."""
        self._running["" if handler is None else handler.name] += 1

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
