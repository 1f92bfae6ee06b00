"""A relay as it runs in production, whose threads do what they were asked for whenever a story says so."""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest

from django_dlq.relay import Relay
from tests.relaying.later import Later
from tests.scenarios.model import Promises

WAITING = ("django_dlq.relay.wait", "django_dlq.relaying.completions.wait", "django_dlq.relaying.trials.wait")
THREADS = ("reading", "completing", "trying")


class SteppedRelay(Relay):
    """One that reads ahead and completes beside, as with `pipelined=True`, on the connection of the story."""

    def __init__(self, promises: Promises) -> None:
        super().__init__()
        self.promises = promises
        self.threads = {name: Timed(promises) for name in THREADS}
        self._reading = self.threads["reading"]
        self._completions._stage = self.threads["completing"]
        trials = self._sending.trials
        trials.beside, trials._stage = True, lambda alias: self.threads["trying"]  # type: ignore[method-assign]
        self._reads_ahead = True

    def run_once(self) -> int:
        """Send one batch, which may have been read some time ago."""
        since = self.threads["reading"].asked_at if self._ahead is not None else None
        with self.promises.in_hand(since):
            return super().run_once()


class Timed(Later):
    """A thread of which is known when it was asked for what it does; it may also be prompt, and do it at once."""

    def __init__(self, promises: Promises) -> None:
        super().__init__()
        self.promises = promises
        self.asked_at: float | None = None
        self.is_prompt = True

    def submit(self, do: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        since = self.asked_at = self.promises.clock.now()

        def do_it_now() -> Any:
            with self.promises.in_hand(since):
                return do(*args, **kwargs)

        future = super().submit(do_it_now)
        if self.is_prompt:
            self.work()
        return future


def wait_for_threads(patches: pytest.MonkeyPatch) -> None:
    """Let whoever waits for threads have them do what they were asked for."""

    def wait(futures: Collection["Future[Any]"]) -> None:
        for future in futures:
            with suppress(Exception):  # whoever asks for the result gets it
                future.result()

    for name in WAITING:
        patches.setattr(name, wait)
