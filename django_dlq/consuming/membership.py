"""A member of a consumer group that stays one while handlers run."""

import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

from django_dlq.brokers.base import Subscription
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.message import Place, Record

MOST_SECONDS_TO_ABANDON = 3.0
"""How long a process that must end waits for its last commit, and for the broker to hear that it leaves."""


class Membership:
    """A subscription whose broker hears of it even while whoever polls is busy with a handler.

    A thread keeps it alive when it has been silent for as long as it may be.
    """

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._alone = threading.Lock()
        self._spoke = time.monotonic()
        self._left = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="dlq-keep-alive", daemon=True)
        if subscription.longest_silence < threading.TIMEOUT_MAX:
            self._keeper.start()

    def poll(self, limit: int, timeout: float) -> tuple[list[Record], Collection[Place]]:
        """Return some records, and the partitions that were taken away before these came; see Subscription.poll.

        What `revoked` returns later was taken away after them.
        """
        with self._alone:
            try:
                records = self._subscription.poll(limit, timeout)
                # Under the same lock: or of a revocation that the keeper meets now nobody would know which it was.
                return records, self._subscription.revoked()
            finally:
                self._spoke = time.monotonic()

    def hold(self, places: Collection[Place]) -> bool:
        """Let nothing come from these partitions, and let it from all others; return whether the broker can do that."""
        with self._alone:
            return self._subscription.hold(places)

    def commit(self, records: Iterable[Record]) -> None:
        """Say that these records are done; see Subscription.commit."""
        with self._alone:
            self._subscription.commit(records)

    def revoked(self) -> Collection[Place]:
        """Return the partitions that were taken away since the last call; see Subscription.revoked."""
        return self._subscription.revoked()

    def close(self) -> None:
        """Leave the group at once."""
        self._left.set()
        with self._alone:
            self._subscription.close()
        if self._keeper.is_alive():
            self._keeper.join()

    def abandon(self, done: Callable[[], Iterable[Record]]) -> None:
        """Commit what is done and leave the group, in a thread that is waited for a few seconds at most."""

        def leave() -> None:
            with suppress(BrokerUnavailable):
                self.commit(done())
            self.close()

        leaving = threading.Thread(target=leave, name="dlq-leave", daemon=True)
        leaving.start()
        leaving.join(MOST_SECONDS_TO_ABANDON)

    def _keep(self) -> None:
        longest = self._subscription.longest_silence
        while not self._left.wait(longest / 2):
            with self._alone:
                # Looked at with the lock: it may have been a poll that held it.
                if time.monotonic() - self._spoke > longest and not self._left.is_set():
                    with suppress(BrokerUnavailable):  # the next poll will say so
                        self._subscription.keep_alive()
