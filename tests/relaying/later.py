"""A stage of the relay that does things only when it is told to, or when somebody cannot wait any longer."""

from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from typing import Any

from django_dlq.relaying.stages import Inline


class Later(Inline):
    """Do what was asked for in its order, on the caller's connection, whenever the test says so."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Wanted, Callable[[], Any]]] = []

    def submit(self, do: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        self.tasks.append((Wanted(self), partial(do, *args, **kwargs)))
        return self.tasks[-1][0]

    def work(self, most: int | None = None) -> None:
        """Do so many things, or all."""
        while self.tasks and most != 0:
            most = None if most is None else most - 1
            future, do = self.tasks.pop(0)
            try:
                future.set_result(do())
            except Exception as error:  # noqa: BLE001  # whoever asks for the result gets it
                future.set_exception(error)

    def wait(self, futures: Collection["Future[Any]"], timeout: float | None = None) -> Any:
        """Wait as `concurrent.futures` does, however they end."""
        for future in futures:
            with suppress(Exception):
                future.result()
        return wait(futures, timeout)

    def fail(self, error: Exception) -> None:
        """Let the next thing fail."""

        def raise_it() -> None:
            raise error

        self.tasks[0] = (self.tasks[0][0], raise_it)


class Wanted(Future[Any]):
    """Whoever waits for the result has what was asked for done, and all before it."""

    def __init__(self, stage: Later) -> None:
        super().__init__()
        self.stage = stage

    def result(self, timeout: float | None = None) -> Any:
        while not self.done():
            self.stage.work(1)
        return super().result(0)
