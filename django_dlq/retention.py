"""Delete what has been kept long enough, in small steps that block nobody."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Model, QuerySet

from django_dlq.conf import conf
from django_dlq.models import DeadLetter, InboxMessage, PublishedMessage
from django_dlq.outbox_pruning import prune_outbox

ROWS_PER_STEP = 1000


class Retention:
    """Prune the history, the inbox and settled dead letters. Open letters are never deleted, however old."""

    def run_once(self) -> int:
        """Delete up to a thousand rows of each table; return how many went."""
        return sum(_delete_some(rows) for rows in _outdated()) + prune_outbox(ROWS_PER_STEP)

    def close(self) -> None:
        """There is nothing to give back."""


def _outdated() -> Iterator[QuerySet[Model]]:
    kept: timedelta | None
    if (kept := conf.DLQ_PUBLISHED_RETENTION) is not None:
        yield PublishedMessage.objects.older_than(kept)
    if (kept := conf.DLQ_INBOX_RETENTION) is not None:
        yield InboxMessage.objects.older_than(kept)
    if (kept := conf.DLQ_CLOSED_RETENTION) is not None:
        yield DeadLetter.objects.closed_longer_than(kept)


def _delete_some(rows: QuerySet[Model]) -> int:
    # Ids first: MySQL has no LIMIT in the subquery of a DELETE.
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_PER_STEP])
    if ids:
        rows.model._default_manager.using(rows.db).filter(pk__in=ids).delete()
    return len(ids)
