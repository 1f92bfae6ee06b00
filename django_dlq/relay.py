"""Send the outbox: read what is due, give it to the broker, move what the broker has confirmed to the history.

One relay at a time works, held to it by a lease on the database's clock; every completion is fenced with the lease's
epoch. No transaction is open while the broker is spoken to. A crash at any point leaves unconfirmed rows in the outbox,
and the next relay sends them again with the same ids.
"""

import os
import socket
import uuid
from collections.abc import Iterable, Sequence

from django.db import router, transaction

from django_dlq import burial, signals
from django_dlq.brokers import brokers
from django_dlq.brokers.base import Receipt
from django_dlq.conf import conf
from django_dlq.exceptions import BrokerUnavailable, Expired, LeaseLost
from django_dlq.fingerprint import Failure
from django_dlq.models import OutboxMessage, RelayLane, Source

Sent = tuple[OutboxMessage, Receipt]


class Relay:
    """One relay, with the lease that it holds, if it holds one."""

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.epoch: int | None = None

    def run_once(self) -> int:
        """Send one batch; return how many messages left the outbox, 0 as well while another relay has the lease.

        Raises BrokerUnavailable if nothing could be sent for that reason. The messages stay where they are.
        """
        if not self.has_lease():
            return 0
        try:
            rows = self._next_batch()
            expired = self._bury_expired(rows)
            return expired + self._send([row for row in rows if not row.is_expired])
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
        lease = conf.DLQ_RELAY_LEASE
        if self.epoch is not None and RelayLane.objects.keep(self.owner, self.epoch, lease):
            return True
        self.epoch = RelayLane.objects.take(self.owner, lease)
        if self.epoch is not None:
            signals.tell(signals.relay_started, type(self), owner=self.owner, epoch=self.epoch)
        return self.epoch is not None

    def _next_batch(self) -> list[OutboxMessage]:
        rows = list(OutboxMessage.objects.due().in_sending_order().with_expiry()[: conf.DLQ_RELAY_BATCH])
        urgent = [row for row in rows if row.priority and row.key is not None]
        if not urgent:
            return rows
        # A key inherits the priority of its most urgent message: its earlier messages are sent now too, and first.
        elders = list(OutboxMessage.objects.elders_of(urgent).with_expiry())
        known = {row.pk for row in elders}
        return _in_key_order([*elders, *(row for row in rows if row.pk not in known)])

    def _bury_expired(self, rows: Iterable[OutboxMessage]) -> int:
        expired = [row for row in rows if row.is_expired]
        for row in expired:
            error = Expired(f"expired: it was to be sent before {row.expires_at:%Y-%m-%d %H:%M:%S} UTC, and was not")
            self._bury(row, error)
        return len(expired)

    def _send(self, rows: Sequence[OutboxMessage]) -> int:
        sent: list[Sent] = []
        for alias in dict.fromkeys(row.broker for row in rows):
            sent += self._send_to(alias, [row for row in rows if row.broker == alias])
        refused = [(row, receipt.error) for row, receipt in sent if _is_refused(receipt)]
        self._complete([(row, receipt) for row, receipt in sent if receipt.error is None])
        for row, error in refused:
            assert error is not None
            self._bury(row, error)
        left = [receipt.error for _, receipt in sent if isinstance(receipt.error, BrokerUnavailable)]
        if left and len(left) == len(rows):
            raise left[0]
        return len(rows) - len(left)

    def _send_to(self, alias: str, rows: Sequence[OutboxMessage]) -> list[Sent]:
        timeout = conf.DLQ_PUBLISH_TIMEOUT.total_seconds()
        receipts = brokers[alias].send([row.record() for row in rows], timeout)
        return list(zip(rows, receipts, strict=True))

    def _complete(self, sent: Sequence[Sent]) -> None:
        if not sent:
            return
        with transaction.atomic(using=router.db_for_write(OutboxMessage)):
            self._fence()
            OutboxMessage.objects.complete([(row, receipt.partition, receipt.offset) for row, receipt in sent])
            replays = [row.letter_id for row, _ in sent if row.letter_id is not None]
            if replays:
                burial.resolve_replayed(replays, actor=Source.RELAY.value)
        signals.tell(signals.messages_published, type(self), rows=[row for row, _ in sent])

    def _bury(self, row: OutboxMessage, error: Exception) -> None:
        with transaction.atomic(using=router.db_for_write(OutboxMessage)):
            self._fence()
            burial.bury_unsent(row, Failure.of(error, "relay", row.topic))

    def _fence(self) -> None:
        """Raise LeaseLost unless the lease is this relay's; in the transaction, so that it stays so until commit."""
        if self.epoch is None or not RelayLane.objects.keep(self.owner, self.epoch, conf.DLQ_RELAY_LEASE):
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


def _is_refused(receipt: Receipt) -> bool:
    return receipt.error is not None and not isinstance(receipt.error, BrokerUnavailable)
