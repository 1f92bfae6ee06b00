"""Run loops side by side in one process."""

import threading

from django_dlq.connections import close_connections
from django_dlq.runner import Loop


def run_together(loop: Loop, *others: Loop) -> None:
    """Run a loop, and others beside it, each in a thread of its own with its own database connections.

    When the first one is told to stop, or any of them fails, all finish what they have in hand and end. Raises what a
    loop has raised.
    """
    troubles: list[BaseException] = []
    for other in others:
        other.stopped = loop.stopped
    threads = [threading.Thread(target=_run, args=(other, troubles), name=_name(other)) for other in others]
    for thread in threads:
        thread.start()
    try:
        loop.run()
    finally:
        loop.stopped.set()
        for thread in threads:
            thread.join()
    if troubles:
        raise troubles[0]


def _run(loop: Loop, troubles: list[BaseException]) -> None:
    try:
        loop.run()
    except BaseException as trouble:  # noqa: BLE001  # raised in the thread of whoever started this one
        troubles.append(trouble)
    finally:
        loop.stopped.set()
        close_connections()


def _name(loop: Loop) -> str:
    return f"dlq-{type(loop.machine).__name__.lower()}"
