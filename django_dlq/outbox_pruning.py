"""Delete from the outbox what Debezium has had long enough to read: it reads the rows, and leaves them there."""

from collections.abc import Collection

from django.db import connections, router, transaction
from django.db.models import Q

from django_dlq import burial, debezium
from django_dlq.conf import conf
from django_dlq.models import OutboxMessage, in_future
from django_dlq.models.replication_slot import slots_in_order


def prune_outbox(limit: int) -> int:
    """Delete up to so many of the oldest rows that are older than DLQ_OUTBOX_RETENTION; return how many went.

    A broker's rows are left alone while its connector's slot is missing or lost: then they may be all that there is of
    a message. A replay that goes was sent long ago, so its letter is resolved.
    """
    if conf.DLQ_OUTBOX_RETENTION is None:
        return 0
    using = router.db_for_write(OutboxMessage)
    with transaction.atomic(using=using):
        # The oldest first, and only then by age, which has no index: or each look would read the whole outbox.
        oldest = OutboxMessage.objects.filter(broker__in=followed_brokers(using)).order_by("pk")[:limit]
        aged = oldest.annotate(is_outdated=Q(created_at__lt=in_future(-conf.DLQ_OUTBOX_RETENTION)))
        found = aged.values_list("pk", "letter_id", "is_outdated")
        rows = [(pk, letter) for pk, letter, is_outdated in found if is_outdated]
        OutboxMessage.objects.filter(pk__in=[pk for pk, _ in rows]).delete()
        burial.resolve_replays([letter for _, letter in rows if letter is not None])
    return len(rows)


def followed_brokers(using: str) -> Collection[str]:
    """Return the brokers whose connectors have missed nothing of what was written."""
    slots = slots_in_order(using)
    database = connections[using].settings_dict["NAME"]
    return [broker for broker in conf.DLQ_BROKERS if debezium.slot_name(database, broker) in slots]
