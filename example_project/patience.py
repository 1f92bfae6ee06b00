"""Wait for a condition, with an end."""

import threading
import time
from collections.abc import Callable

ASK_EVERY = 0.1


class Interrupted(Exception):
    """Somebody has ended the demo meanwhile."""


class BrokenPromise(Exception):
    """Something that had to happen did not, or something happened that must not."""


def wait_until(what: str, condition: Callable[[], bool], *, stopped: threading.Event, seconds: float) -> None:
    """Ask again and again until the condition holds; raise BrokenPromise, or Interrupted once `stopped` is set."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise BrokenPromise(f"{what}: not within {seconds:g} seconds")
        if stopped.wait(ASK_EVERY):
            raise Interrupted
