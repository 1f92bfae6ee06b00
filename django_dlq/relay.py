"""Send the outbox: read what is due, give it to the broker, move what the broker has confirmed to the history.

One relay at a time works, held to it by a lease on the database's clock; every completion is fenced with the lease's
epoch. No transaction is open while the broker is spoken to. A crash at any point leaves unconfirmed rows in the outbox,
and the next relay sends them again with the same ids.
"""

import os
import socket
import time
import uuid
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from django.db import router, transaction

from django_dlq import burial, signals
from django_dlq.brokers import UnknownBroker, brokers
from django_dlq.brokers.base import Receipt
from django_dlq.conf import conf
from django_dlq.exceptions import BrokerUnavailable, Expired, LeaseLost
from django_dlq.fingerprint import Failure
from django_dlq.models import OutboxMessage, RelayLane
from django_dlq.runner import pause_after

Sent = tuple[OutboxMessage, Receipt]


class Pause(NamedTuple):
    """How long a broker that could not be reached is left alone, and why."""

    troubles: int
    until: float
    reason: str


class Relay:
    """One relay, with the lease that it holds, if it holds one."""

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.epoch: int | None = None
        self._kept_at = 0.0
        self._pauses: dict[str, Pause] = {}

    def run_once(self) -> int:
        """Send one batch; return how many messages left the outbox, 0 as well while another relay has the lease.

        What a broker that cannot be reached would have taken stays in the outbox, and that broker is left alone for a
        while, longer each time up to five seconds; messages for other brokers go on.
        """
        if not self.has_lease():
            return 0
        try:
            rows = self._next_batch()
            done = self._bury_expired(rows)
            live = [row for row in rows if not row.is_expired]
            for alias in dict.fromkeys(row.broker for row in live):
                self._expect_lease()  # the broker before may have used up much of it
                done += self._send(alias, [row for row in live if row.broker == alias])
            return done
        except LeaseLost:
            signals.tell(signals.relay_lost_lease, type(self), owner=self.owner, epoch=self.epoch)
            self.epoch = None
            return 0

    def close(self) -> None:
        """Give the lease back, so that the next relay can begin at once."""
        if self.epoch is not None:
            RelayLane.objects.give_back(self.owner, self.epoch)
            self.epoch = None

    def has_lease(self) -> bool:
        """Keep the lease, or take it if it is free; return False while another relay has it."""
        if self.epoch is not None and (self._is_fresh() or self._keep()):
            return True
        self._kept_at = time.monotonic()
        self.epoch = RelayLane.objects.take(self.owner, conf.DLQ_RELAY_LEASE)
        if self.epoch is not None:
            signals.tell(signals.relay_started, type(self), owner=self.owner, epoch=self.epoch)
        return self.epoch is not None

    def unavailable(self) -> dict[str, str]:
        """Return the brokers that are left alone at the moment, each with the reason."""
        now = time.monotonic()
        return {alias: pause.reason for alias, pause in self._pauses.items() if pause.until > now}

    def _is_fresh(self) -> bool:
        # An idle relay that wrote its lease at every look would cost the database more than its work does.
        return time.monotonic() - self._kept_at < conf.DLQ_RELAY_LEASE.total_seconds() / 3

    def _keep(self) -> bool:
        began = time.monotonic()
        kept = self.epoch is not None and RelayLane.objects.keep(self.owner, self.epoch, conf.DLQ_RELAY_LEASE)
        if kept:
            self._kept_at = began
        return kept

    def _next_batch(self) -> list[OutboxMessage]:
        size = conf.DLQ_RELAY_BATCH
        due = OutboxMessage.objects.due().exclude(broker__in=self.unavailable()).with_expiry()
        rows = list(due.in_sending_order()[:size])
        urgent = [row for row in rows if row.priority and row.key is not None]
        if not urgent:
            return rows
        # A key inherits the priority of its most urgent message: its earlier messages are sent now too, and first.
        elders = list(due.elders_of(urgent).order_by("id")[:size])
        known = {row.pk for row in elders}
        rows = [row for row in rows if row.pk not in known]
        if len(elders) == size:
            # Perhaps there are more, so what these precede has to wait; but not what precedes these.
            keys = {(row.topic, row.key) for row in elders}
            rows = [row for row in rows if (row.topic, row.key) in keys and row.pk < elders[-1].pk]
        return _in_key_order([*elders, *rows])

    def _bury_expired(self, rows: Iterable[OutboxMessage]) -> int:
        expired = [row for row in rows if row.is_expired]
        for row in expired:
            error = Expired(f"expired: it was to be sent before {row.expires_at:%Y-%m-%d %H:%M:%S} UTC, and was not")
            self._bury(row, error)
        return len(expired)

    def _send(self, alias: str, rows: Sequence[OutboxMessage]) -> int:
        try:
            receipts = brokers[alias].send([row.record() for row in rows], conf.DLQ_PUBLISH_TIMEOUT.total_seconds())
        except (BrokerUnavailable, UnknownBroker) as error:
            self._pause(alias, error)
            return 0
        sent = list(zip(rows, receipts, strict=True))
        self._complete([(row, receipt) for row, receipt in sent if receipt.error is None])
        left = [receipt.error for _, receipt in sent if isinstance(receipt.error, BrokerUnavailable)]
        for row, receipt in sent:
            if receipt.error is not None and not isinstance(receipt.error, BrokerUnavailable):
                self._bury(row, receipt.error)
        if left:
            self._pause(alias, left[0])
        else:
            self._pauses.pop(alias, None)
        return len(rows) - len(left)

    def _pause(self, alias: str, error: Exception) -> None:
        troubles = self._pauses[alias].troubles + 1 if alias in self._pauses else 1
        self._pauses[alias] = Pause(troubles, time.monotonic() + pause_after(troubles), str(error))
        signals.tell(signals.broker_unavailable, type(self), broker=alias, error=error)

    def _complete(self, sent: Sequence[Sent]) -> None:
        if not sent:
            return
        with transaction.atomic(using=router.db_for_write(OutboxMessage)):
            self._fence()
            OutboxMessage.objects.complete([(row, receipt.partition, receipt.offset) for row, receipt in sent])
            replays = [row.letter_id for row, _ in sent if row.letter_id is not None]
            if replays:
                burial.resolve_replays(replays)
        signals.tell(signals.messages_published, type(self), rows=[row for row, _ in sent])

    def _bury(self, row: OutboxMessage, error: Exception) -> None:
        with transaction.atomic(using=router.db_for_write(OutboxMessage)):
            self._fence()
            burial.bury_unsent(row, Failure.of(error, "relay", row.topic))

    def _expect_lease(self) -> None:
        """Raise LeaseLost unless the lease lasts for another send."""
        if not (self._is_fresh() or self._keep()):
            raise LeaseLost("the lease has passed to another relay")

    def _fence(self) -> None:
        """Raise LeaseLost unless the lease is this relay's; in the transaction, so that it stays so until commit."""
        if not self._keep():
            raise LeaseLost("the lease has passed to another relay")


def _in_key_order(rows: Iterable[OutboxMessage]) -> list[OutboxMessage]:
    """Put the rows of each key in the order of their ids, in the places that the key's rows have together."""
    ordered = list(rows)
    places: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(ordered):
        if row.key is not None:
            places.setdefault((row.topic, row.key), []).append(place)
    for taken in places.values():
        for place, row in zip(taken, sorted((ordered[place] for place in taken), key=lambda row: row.pk), strict=True):
            ordered[place] = row
    return ordered
