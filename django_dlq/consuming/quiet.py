"""Let what may kill its process run while nothing else of this process does, so that a death has one cause."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


class Quiet:
    """A lock that many may have beside each other, or one alone; whoever waits to be alone goes first."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._beside = 0
        self._wanted = 0
        self._is_alone = False

    def beside(self) -> AbstractContextManager[None]:
        """Run beside others, but beside nobody who is, or wants to be, alone."""
        return _Beside(self)

    def enter(self) -> None:
        """Wait until nobody is, or wants to be, alone."""
        with self._changed:
            while self._wanted or self._is_alone:
                self._changed.wait()
            self._beside += 1

    def leave(self) -> None:
        """Let those go on who wait for it."""
        with self._changed:
            self._beside -= 1
            if self._wanted:
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody runs, and run alone."""
        with self._changed:
            self._wanted += 1
            while self._beside or self._is_alone:
                self._changed.wait()
            self._wanted -= 1
            self._is_alone = True
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()


class _Beside(AbstractContextManager[None]):
    """The time that somebody runs beside others; not made of a generator, which each message would pay for."""

    __slots__ = ("_quiet",)

    def __init__(self, quiet: Quiet) -> None:
        self._quiet = quiet

    def __enter__(self) -> None:
        self._quiet.enter()

    def __exit__(self, *_: object) -> None:
        self._quiet.leave()


quiet = Quiet()
"""That of this process: consumers and retries in all its threads have it in common."""
