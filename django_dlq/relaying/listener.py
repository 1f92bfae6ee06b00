"""Hear the calls of those who publish, on a connection of its own."""

import math
import time
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from django.db import connections

from django_dlq.conf import conf
from django_dlq.connections import PATIENCE
from django_dlq.models.wake_up import CHANNEL, can_wake
from django_dlq.runner import pause_after


class Listener:
    """The ear of one relay. Used by one thread.

    It is a help and never a trouble: where nothing can be heard (another database, a pooler in between, a server that
    refuses the connection) it only lets time pass, and tries again later if that may help.
    """

    def __init__(self, using: str) -> None:
        self._using = using
        self._connection: Any = None
        self._troubles = 0
        self._next_try = 0.0
        self._was_called = False

    def wait(self, seconds: float) -> bool:
        """Wait for a call for up to so many seconds; return whether there was one, now or since the last time.

        When it begins to listen that counts as one, since nobody has heard those before. It may also return earlier.
        """
        if self._was_called:
            self._was_called = False
            return True
        if self._connection is not None:
            return self._hear(seconds)
        if conf.DLQ_RELAY_NOTIFY and time.monotonic() >= self._next_try:
            return self._listen()
        time.sleep(seconds)
        return False

    def take_note(self) -> None:
        """Remember whether there was a call: a relay that is too busy to wait would let the server's queue grow."""
        if self._connection is not None:
            self._was_called = self._hear(0) or self._was_called

    def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _hear(self, seconds: float) -> bool:
        try:
            calls = self._is_readable(seconds) and list(self._connection.notifies(timeout=0))
        except self._driver.Error:
            self._try_later()
            return False
        self._troubles = 0
        return bool(calls)

    def _is_readable(self, seconds: float) -> bool:
        # Not the driver's own waiting: in its last millisecond psycopg asks again and again, and rests are that short.
        with DefaultSelector() as selector:
            selector.register(self._connection, EVENT_READ)
            return bool(selector.select(seconds))

    def _listen(self) -> bool:
        database = connections[self._using]
        if not can_wake(database):
            self._next_try = math.inf
            return False
        parameters = database.get_connection_params()
        try:
            # With patience, wherever the relay runs: a connection on which nobody ever speaks is forgotten by what lies
            # between, and then waits for ever.
            self._connection = self._driver.connect(**{**PATIENCE, **parameters}, autocommit=True)
            if self._is_pooled():
                self.close()
                self._next_try = math.inf
                return False
            self._connection.execute(f"LISTEN {CHANNEL}")
        except self._driver.Error:
            self._try_later()
            return False
        return True

    def _is_pooled(self) -> bool:
        """Tell whether the session is a pooler's: it would listen in the name of whoever gets it next."""
        (number,) = self._connection.execute("SELECT pg_backend_pid()").fetchone()
        return bool(number != self._connection.info.backend_pid)

    def _try_later(self) -> None:
        self.close()
        self._troubles += 1
        self._next_try = time.monotonic() + pause_after(self._troubles)

    @property
    def _driver(self) -> Any:
        database: Any = connections[self._using]
        return database.Database
