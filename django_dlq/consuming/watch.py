"""Look for handlers that neither end nor touch the database, however long their time has been over."""

import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django_dlq import signals
from django_dlq.exceptions import TimeLimitExceeded
from django_dlq.time_limit import Call, overdue

LOOK_EVERY = 0.5

SECONDS_TO_WRITE = 5.0
"""That something hangs; then the process ends in any case, as where what hangs has locked the letter."""


class Watch:
    """A thread that reports calls which run longer than `grace` seconds beyond their limits."""

    def __init__(self, report: Callable[[Call], None], *, grace: float) -> None:
        self._report, self._grace = report, grace
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="dlq-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no longer."""
        self._over.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(min(LOOK_EVERY, self._grace)):
            for call in overdue(self._grace):
                self._report(call)


def tell_of_hanging(call: Call, sender: type) -> None:
    """Send the signal for a call that does not end."""
    told = {"handler": call.about.handler, "messages": call.about.messages, "overtime": call.overtime}
    signals.tell(signals.handler_hangs, sender, **told)


@contextmanager
def last_words(end: Callable[[], object]) -> Iterator[None]:
    """Let something be written down for some seconds, and end the process, come what may."""
    last = threading.Timer(SECONDS_TO_WRITE, end)
    last.daemon = True
    last.start()
    try:
        yield
    finally:
        end()
        last.cancel()  # in a test the process goes on


def what_it_was_doing(call: Call) -> TimeLimitExceeded:
    """Return the error for a call that does not end, with the place where it is."""
    error = TimeLimitExceeded(
        f"it has not ended {call.overtime:.1f} seconds after its limit of {call.limit.total_seconds():g} seconds"
    )
    if frame := sys._current_frames().get(call.thread):
        error.add_note("It was here:\n" + "".join(traceback.format_stack(frame)))
    return error
