"""Delete from the outbox what Debezium has read and sent: it leaves the rows where they are."""

from collections.abc import Mapping

from django.db import connections, router, transaction
from django.db.models import Q

from django_dlq import burial, debezium
from django_dlq.conf import conf
from django_dlq.models import OutboxMessage, in_future
from django_dlq.models.first_rows import first_rows
from django_dlq.models.replication_slot import is_read, slots_in_order


def prune_outbox(limit: int) -> int:
    """Delete what was sent and is older than DLQ_OUTBOX_RETENTION, the oldest first; return how many rows went.

    At most `limit` of each broker. What its connector has not confirmed stays, however old: it may be all that there is
    of a message. A replay that goes was sent long ago, so its letter is resolved.
    """
    if conf.DLQ_OUTBOX_RETENTION is None:
        return 0
    using = router.db_for_write(OutboxMessage)
    with transaction.atomic(using=using):
        followed = followed_brokers(using)
        return sum(_prune(broker, is_read(age), limit=limit) for broker, age in followed.items())


def followed_brokers(using: str) -> Mapping[str, int]:
    """Return the brokers whose connectors have missed nothing, each with how far back lies what was sent.

    Brokers that share a slot's name have none: what one connector has sent says nothing about the other's messages.
    """
    slots = slots_in_order(using)
    named = debezium.brokers_by_slot(connections[using].settings_dict["NAME"])
    return {brokers[0]: slots[name] for name, brokers in named.items() if name in slots and len(brokers) == 1}


def _prune(broker: str, was_sent: Q, *, limit: int) -> int:
    assert conf.DLQ_OUTBOX_RETENTION is not None
    # The oldest first, and only then by age, which has no index: or each look would read the whole outbox.
    oldest = OutboxMessage.objects.filter(broker=broker).order_by("pk")
    is_old = Q(created_at__lt=in_future(-conf.DLQ_OUTBOX_RETENTION))
    found = oldest.annotate(may_go=is_old & was_sent).values_list("pk", "letter_id", "may_go")
    rows = [(pk, letter) for pk, letter, may_go in first_rows(found, limit) if may_go]
    OutboxMessage.objects.filter(pk__in=[pk for pk, _ in rows]).delete()
    burial.resolve_replays([letter for _, letter in rows if letter is not None])
    return len(rows)
