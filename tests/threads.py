"""Do something beside a test, on a database connection of its own."""

import threading
from collections.abc import Callable

from django.db import connection

SECONDS = 30


def in_thread(work: Callable[..., object], *args: object) -> Callable[[], None]:
    """Begin it; return a function that waits for its end, and raises what it has raised."""
    troubles: list[BaseException] = []

    def run() -> None:
        try:
            work(*args)
        except BaseException as trouble:  # noqa: BLE001  # raised in the test's own thread
            troubles.append(trouble)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()

    def join() -> None:
        thread.join(SECONDS)
        assert not thread.is_alive()
        if troubles:
            raise troubles[0]

    return join
