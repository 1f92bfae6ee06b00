"""SIGTERM and SIGINT, which are heard even while the main thread does not come back to Python."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGTERM, signal.SIGINT)

_NOTHING_MORE = b"\0"
"""No signal has this number."""

_mouths: set[int] = set()


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on the first SIGTERM or SIGINT, in any thread, and let a second one end the process."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers; whoever started this thread stops it
        return
    before = {number: signal.getsignal(number) for number in NUMBERS}
    first = threading.Lock()

    def stop_once() -> None:
        if first.acquire(blocking=False):
            stop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        for number in NUMBERS:
            signal.signal(number, signal.SIG_DFL)
        stop_once()

    try:
        with _listening(stop_once):
            for number in NUMBERS:
                signal.signal(number, on_signal)
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _listening(stop: Callable[[], None]) -> Iterator[None]:
    """Hear of signals in a thread too.

    Python calls a signal's handler in the main thread, and not before that comes back from what it has called in C.
    """
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    before = signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=[ear, stop], name="dlq-signals", daemon=True)
    listener.start()
    _mouths.add(mouth)
    try:
        yield
    finally:
        _mouths.discard(mouth)
        signal.set_wakeup_fd(before)
        os.write(mouth, _NOTHING_MORE)
        listener.join()
        os.close(mouth)
        os.close(ear)


def _listen(ear: int, stop: Callable[[], None]) -> None:
    heard = 0
    while (byte := os.read(ear, 1)) != _NOTHING_MORE:
        if byte[0] in NUMBERS:
            heard += 1
            if heard > 1:
                os._exit(128 + byte[0])  # as a shell says that a signal has ended a process
            stop()


def _leave_signals_to_parent() -> None:
    # Or the signals of a child would be written into its parent's pipe.
    if _mouths:
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_signals_to_parent)
