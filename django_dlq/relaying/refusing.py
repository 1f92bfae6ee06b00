"""Give up a message that cannot be sent, or must not be sent any more."""

from django.db import router, transaction

from django_dlq import burial
from django_dlq.fingerprint import Failure
from django_dlq.models import DeadLetter, OutboxMessage, RelayLane
from django_dlq.models.outgoing import Outgoing
from django_dlq.models.postgresql import Fence


def bury(outgoing: Outgoing, error: Exception, fence: Fence) -> DeadLetter | None:
    """Make a dead letter of a row of the outbox, in one transaction; return None if somebody has deleted the row.

    Raises LeaseLost if its lane is another relay's by now.
    """
    with transaction.atomic(using=router.db_for_write(OutboxMessage)):
        RelayLane.objects.fence(fence.owner, fence.held)
        row = OutboxMessage.objects.filter(pk=outgoing.pk).first()
        return None if row is None else burial.bury_unsent(row, Failure.of(error, "relay", row.topic))
