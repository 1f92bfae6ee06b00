"""Take a group's messages from the broker and hand them to their handlers, each once.

What is handled is committed in one transaction with its inbox rows, what fails is stored as a letter. Only when one of
the two is committed may the message's offset pass, and only up to the first that is unfinished in its partition.
"""

import sys
import time

from django_dlq import signals
from django_dlq.brokers import brokers
from django_dlq.brokers.base import Subscription
from django_dlq.conf import conf
from django_dlq.consuming.hand import Delivery, Hand
from django_dlq.consuming.settling import delivery_of
from django_dlq.consuming.settling import settle as settle_work
from django_dlq.exceptions import UnknownHandler
from django_dlq.message import Record
from django_dlq.registry import Handler, handlers

SECONDS_BETWEEN_COMMITS = 1.0
"""After so long a batch is interrupted: its offsets are committed, and a SIGTERM is heard."""


class Consumer:
    """One member of a consumer group."""

    def __init__(self, group: str) -> None:
        of_group = handlers.of_group(group)
        if not of_group:
            known = ", ".join(handlers.groups()) or "none"
            raise UnknownHandler(f"no handler has the group {group!r}; the groups are: {known}")
        self.group = group
        self.topics = sorted({topic for handler in of_group for topic in handler.topics})
        self.broker = of_group[0].broker
        self._largest_batch = max(handler.batch_size or 1 for handler in of_group)
        self._subscription: Subscription | None = None
        self._hand = Hand()

    def run_once(self, timeout: float = 1.0) -> int:
        """Settle some messages and commit their offsets; wait up to `timeout` seconds for the first.

        Returns how many were settled: handled, skipped, or stored as letters. If the database or the broker fails in
        between, that error is raised, and the next call goes on with what was in hand.
        """
        if self._subscription is None:
            self._subscription = brokers[self.broker].subscribe(self.topics, self.group)
        settled = 0 if self._hand else self._take(self._subscription, timeout)
        try:
            settled += self._work()
        finally:
            self._commit(self._subscription)
        return settled

    def close(self) -> None:
        """Leave the group, so that other members take over at once."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        self._hand.clear()

    def _take(self, subscription: Subscription, timeout: float) -> int:
        """Take some messages from the broker; return how many of them are for no handler here."""
        skipped = 0
        for record in subscription.poll(max(conf.DLQ_CONSUMER_BATCH, self._largest_batch), timeout):
            delivery = delivery_of(record, self.group)
            self._hand.take(delivery)
            skipped += delivery.outcome is not None
            _tell(delivery)
        return skipped

    def _work(self) -> int:
        started, settled = time.monotonic(), 0
        while time.monotonic() - started < SECONDS_BETWEEN_COMMITS:
            work = self._hand.next(_any_number)
            if not work:
                break
            try:
                settle_work(work)
            finally:
                self._hand.returned(work)
                settled += sum(map(_tell, work))
        return settled

    def _commit(self, subscription: Subscription) -> None:
        if passed := self._hand.passed():
            subscription.commit(passed)
            self._hand.committed()


def settle(group: str, record: Record) -> None:
    """Handle a record, skip it, or store a letter. Raises only if the database cannot be reached."""
    delivery = delivery_of(record, group)
    if delivery.outcome is None:
        settle_work([delivery])
    _tell(delivery)


def _tell(delivery: Delivery) -> bool:
    """Send the signal for what became of a delivery; return whether anything did."""
    if delivery.outcome == "handled":
        signals.tell(signals.message_handled, Consumer, message=delivery.message, handler=delivery.handler)
    elif delivery.outcome not in (None, "buried"):  # burial has told of that
        signals.tell(signals.message_skipped, Consumer, message=delivery.message, why=delivery.outcome)
    return delivery.outcome is not None


def _any_number(_: Handler) -> int:
    return sys.maxsize
