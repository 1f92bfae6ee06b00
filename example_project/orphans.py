"""End a process whose supervisor is gone, also after `kill -9`, so that a demo never leaves anything running."""

import os
import threading

from django_dlq.runner import orphaned

LOOK_EVERY = 0.5


def end_with_supervisor() -> None:
    """Watch the supervisor from a thread; for servers, which have no loop of their own to look from."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    pause = threading.Event()
    while not orphaned():
        pause.wait(LOOK_EVERY)
    os._exit(1)
