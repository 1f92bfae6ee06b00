"""Give up messages that cannot be sent, or must not be sent any more."""

from collections.abc import Sequence

from django.db import router, transaction

from django_dlq import burial, signals
from django_dlq.exceptions import Expired
from django_dlq.fingerprint import Failure
from django_dlq.models import DeadLetter, OutboxMessage, RelayLane
from django_dlq.models.outgoing import Outgoing
from django_dlq.models.postgresql import Fence

AT_ONCE = 200
"""How many are given up in one transaction: a short one, and between two of them the lease is kept."""


def bury(rows: Sequence[tuple[Outgoing, Exception]], fence: Fence) -> list[DeadLetter]:
    """Make dead letters of rows of the outbox, in one transaction, except of what somebody has deleted.

    Raises LeaseLost if one of their lanes is another relay's by now.
    """
    with transaction.atomic(using=router.db_for_write(OutboxMessage)):
        RelayLane.objects.fence(fence.owner, fence.held)
        found = OutboxMessage.objects.in_bulk([row.pk for row, _ in rows])
        failures = [(found[row.pk], Failure.of(error, "relay", row.topic)) for row, error in rows if row.pk in found]
        letters = burial.bury_unsent(failures)
    for letter in letters:
        signals.tell(signals.message_failed, DeadLetter, letter=letter)
    return letters


def expired(row: Outgoing) -> Expired:
    """Say that a message has outlived its expiry."""
    return Expired(f"expired: it was to be sent before {row.expires_at:%Y-%m-%d %H:%M:%S} UTC, and was not")
