"""Who runs the handlers: the thread that polls, or several beside it."""

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol

from django.db import InterfaceError, OperationalError

from django_dlq.connections import close_connections, close_old_connections

Work = Sequence[Any]
"""Deliveries to be handled, or questions to be asked about half messages."""

Settle = Callable[[Work], None]


class Returned(NamedTuple):
    """Work that comes back, and what kept it from being settled, if anything did."""

    work: Work
    error: BaseException | None


class Crew(Protocol):
    """Somebody who settles work. Used by one thread."""

    @property
    def has_room(self) -> bool:
        """Whether somebody is free."""

    @property
    def is_busy(self) -> bool:
        """Whether some work has not come back."""

    def give(self, work: Work) -> None:
        """Have work settled, by somebody who is free."""

    def take_back(self, timeout: float) -> list[Returned]:
        """Return what is settled; if nothing is, wait for the first as many seconds."""

    def close(self, patience: float) -> list[Returned]:
        """Let everybody finish what he does, for as many seconds; return what came back."""


class Alone:
    """Settle work at once, in the thread that gives it, on its database connections."""

    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self._returned: list[Returned] = []

    @property
    def has_room(self) -> bool:
        """Whether the last work was taken back."""
        return not self._returned

    @property
    def is_busy(self) -> bool:
        """Whether there is work to be taken back."""
        return bool(self._returned)

    def give(self, work: Work) -> None:
        """Settle it."""
        self._returned.append(Returned(work, error_of(self._settle, work)))

    def take_back(self, timeout: float) -> list[Returned]:
        """Return what was settled."""
        returned, self._returned = self._returned, []
        return returned

    def close(self, patience: float) -> list[Returned]:
        """Return what was settled."""
        return self.take_back(patience)


class Threads:
    """Settle several works at once, in threads with database connections of their own."""

    def __init__(self, settle: Settle, count: int) -> None:
        self._settle = settle
        self._todo: SimpleQueue[Work | None] = SimpleQueue()
        self._returned: SimpleQueue[Returned] = SimpleQueue()
        self._given = 0
        self._threads = [
            # Daemons: a handler that never ends must not keep the process from ending.
            threading.Thread(target=self._run, name=f"dlq-handler-{number}", daemon=True)
            for number in range(1, count + 1)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def has_room(self) -> bool:
        """Whether a thread is free."""
        return self._given < len(self._threads)

    @property
    def is_busy(self) -> bool:
        """Whether some work has not come back."""
        return self._given > 0

    def give(self, work: Work) -> None:
        """Have it settled by the next thread that is free."""
        self._given += 1
        self._todo.put(work)

    def take_back(self, timeout: float) -> list[Returned]:
        """Return what is settled; if nothing is, wait for the first as many seconds."""
        returned: list[Returned] = []
        try:
            if self._given:
                returned.append(self._returned.get(timeout=timeout))
            while len(returned) < self._given:
                returned.append(self._returned.get_nowait())
        except Empty:
            pass
        self._given -= len(returned)
        return returned

    def close(self, patience: float) -> list[Returned]:
        """Let every thread finish what it does, and close its connections; return what came back."""
        for _ in self._threads:
            self._todo.put(None)
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return self.take_back(0)

    def _run(self) -> None:
        try:
            while (work := self._todo.get()) is not None:
                close_old_connections()
                error = error_of(self._settle, work)
                if isinstance(error, (OperationalError, InterfaceError)):
                    close_connections()
                self._returned.put(Returned(work, error))
        finally:
            close_connections()


def error_of(settle: Settle, work: Work) -> BaseException | None:
    """Settle it, and return what was raised."""
    try:
        settle(work)
    except BaseException as error:  # noqa: BLE001  # it is raised where the work is taken back
        return error
    return None
