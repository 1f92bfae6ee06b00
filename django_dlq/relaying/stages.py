"""Do things one after the other: at once, or in a thread of their own beside the caller's work."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django_dlq.connections import close_connections, close_old_connections

P = ParamSpec("P")
T = TypeVar("T")


class Stage(ABC):
    """A place where one thing at a time is done, in the order in which it was asked for."""

    @abstractmethod
    def submit(self, do: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Ask for something to be done; the future has what it returned or raised."""

    @abstractmethod
    def let_go(self) -> None:
        """Close the database connections of this place, once what was asked for is done; the next use makes new."""

    @abstractmethod
    def close(self) -> None:
        """Wait until all is done, and end."""


class Inline(Stage):
    """Do it at once, in the caller's thread and on its database connection."""

    def submit(self, do: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Do it; KeyboardInterrupt and the like are raised at once."""
        future: Future[T] = Future()
        try:
            future.set_result(do(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  # whoever asks for the result gets it
            future.set_exception(error)
        return future

    def let_go(self) -> None:
        """The caller looks after its connections itself."""

    def close(self) -> None:
        """There is nothing to end."""


class Beside(Stage):
    """Do it in a thread of its own, which has its own database connection."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def submit(self, do: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Do it when everything that was asked for before is done."""

        def in_thread() -> T:
            close_old_connections()
            return do(*args, **kwargs)

        return self._executor.submit(in_thread)

    def let_go(self) -> None:
        """Close the thread's connections."""
        self._executor.submit(close_connections).result()

    def close(self) -> None:
        """End the thread."""
        self.let_go()
        self._executor.shutdown()
