"""Stop a group before a bad deploy makes dead letters of a whole topic.

Each process counts for itself, so that a message which is handled costs no statement. The stop is a row that all
processes of the release see within about a second. Retries, replays, duplicates and what its rule skips do not count.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass

from django_dlq import message as wire
from django_dlq import signals
from django_dlq.conf import conf
from django_dlq.consuming.stops import LOOK_EVERY, Stops
from django_dlq.exceptions import Expired, RetryLater
from django_dlq.fingerprint import Failure
from django_dlq.message import ReceivedMessage
from django_dlq.models import StoppedGroup
from django_dlq.registry import Handler

SAY_EVERY = 60.0
"""Seconds after which a group that is still stopped says so again."""

NOT_A_FAULT = (RetryLater, Expired)
"""The handler waits for something, or the message came too late, as all do after a long stop: no sign of bad code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """What has stopped a group."""

    handler: Handler
    failure: Failure
    failed: int
    out_of: int


class Window:
    """The last messages of one handler: which of them failed."""

    def __init__(self, *, in_row: int | None, share: float | None, size: int) -> None:
        self._most_in_row, self._most_share = in_row, share
        self._size = size
        self._last = deque[bool](maxlen=size)
        self._in_row = 0

    def succeeded(self, count: int) -> None:
        """Count messages that were handled."""
        self._in_row = 0
        self._last.extend([False] * min(count, self._size))

    def failed(self) -> tuple[int, int] | None:
        """Count one that failed; if that is one too many, return how many failed, and out of how many."""
        self._in_row += 1
        self._last.append(True)
        if self._most_in_row and self._in_row >= self._most_in_row:
            return self._in_row, self._in_row
        failed = sum(self._last)
        if self._most_share and len(self._last) == self._size and failed >= self._most_share * self._size:
            return failed, self._size
        return None


class StormGuard:
    """What one process of a group knows of it: how its messages fare, and whether it is stopped.

    `succeeded` and `failed` may be called by any thread, `look` by the one that has the hand.
    """

    def __init__(self, group: str, *, is_off: bool = False) -> None:
        self.group = group
        self._is_off = is_off or not (conf.DLQ_STORM_IN_ROW or conf.DLQ_STORM_SHARE)
        self._alone = threading.Lock()
        self._windows: dict[str, Window] = {}
        self._stops = Stops()
        self._trip: Trip | None = None
        self._stop: StoppedGroup | None = None
        self._said = 0.0

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more is to be started."""
        return self._trip is not None or self._stop is not None

    def succeeded(self, handler: Handler, count: int = 1) -> None:
        """Count messages that a handler has just handled."""
        if not self._is_off:
            with self._alone:
                self._window(handler).succeeded(count)

    def failed(self, message: ReceivedMessage, handler: Handler, error: BaseException, failure: Failure | None) -> None:
        """Count a message that has just failed, as it was stored; None if its rule has passed it over."""
        if self._is_off or failure is None or isinstance(error, NOT_A_FAULT) or _is_replay(message):
            return
        with self._alone:
            if self.is_stopped:
                return  # what was in hand
            if found := self._window(handler).failed():
                failed, out_of = found
                self._trip = Trip(handler=handler, failure=failure, failed=failed, out_of=out_of)

    def look(self) -> None:
        """Write down that the group must stop, or ask at most once a second whether it is stopped. May raise."""
        if self._is_off:
            return
        if self._trip is not None:
            stop, is_new = _write(self.group, self._trip)
            self._stops.forget()  # what it knew from before would seem to say that somebody has resumed the group
            self._see(stop, is_new=is_new)
            self._trip = None
        else:
            self._see(self._stops.look().get(self.group))

    def wait(self, seconds: float) -> None:
        """Rest while the group is stopped, no longer than until the next look."""
        time.sleep(min(seconds, LOOK_EVERY))

    def _see(self, stop: StoppedGroup | None, *, is_new: bool = False) -> None:
        if stop is None:
            if self._stop is not None:
                with self._alone:
                    self._windows.clear()
                    self._stop = None
            return
        is_first, self._stop = self._stop is None, stop
        if is_first or time.monotonic() - self._said >= SAY_EVERY:
            self._said = time.monotonic()
            signals.tell(signals.group_stopped, StormGuard, stop=stop, is_new=is_new)

    def _window(self, handler: Handler) -> Window:
        window = self._windows.get(handler.name)
        if window is None:
            window = Window(in_row=conf.DLQ_STORM_IN_ROW, share=conf.DLQ_STORM_SHARE, size=conf.DLQ_STORM_WINDOW)
            self._windows[handler.name] = window
        return window


OFF = StormGuard("", is_off=True)


def _write(group: str, trip: Trip) -> tuple[StoppedGroup, bool]:
    return StoppedGroup.objects.stop(
        group=group,
        release=conf.DLQ_RELEASE,
        handler=trip.handler.name[:255],
        failed=trip.failed,
        out_of=trip.out_of,
        error_class=trip.failure.error_class[:255],
        error_message=trip.failure.error_message,
        fingerprint=trip.failure.fingerprint,
    )


def _is_replay(message: ReceivedMessage) -> bool:
    return bool(message.record.header(wire.GROUP))
