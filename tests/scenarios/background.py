"""Do something again and again in a thread, beside a test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def repeating(act: Callable[[], object], *, every: float) -> Iterator[None]:
    """Act until the block ends, so many seconds apart; what goes wrong there is raised here."""
    closing, troubles = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            while not closing.wait(every):
                act()
        except BaseException as trouble:  # noqa: BLE001  # raised below, in the test's thread
            troubles.append(trouble)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join()
    if troubles:
        raise troubles[0]
