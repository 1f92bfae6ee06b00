"""Delete what has been kept long enough, in small steps that block nobody."""

from collections.abc import Iterator
from datetime import time, timedelta
from functools import reduce
from operator import or_

from django.db import router
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from django_dlq.conf import conf
from django_dlq.models import (
    DeadLetter,
    HalfMessage,
    InboxMessage,
    PublishedMessage,
    StoppedGroup,
    Suspect,
    TakenPartition,
    database_now,
    in_future,
)
from django_dlq.outbox_pruning import prune_outbox
from django_dlq.registry import handlers

ROWS_PER_STEP = 1000


class Retention:
    """Prune the history, the inbox, settled dead letters and decided half messages; what is open is never deleted.

    And what is left of consumers that have died, in topics that nobody consumes any more.
    """

    def __init__(self) -> None:
        # Where the walk along the history has come to.
        self._after = 0

    @property
    def grace(self) -> float:
        """How many seconds the batch in hand may take when this is told to stop."""
        return conf.DLQ_CONSUMER_GRACE.total_seconds()

    @property
    def pause(self) -> float:
        """The seconds to rest after each batch."""
        return conf.DLQ_PRUNE_PAUSE.total_seconds()

    def run_once(self) -> int:
        """Delete up to a thousand rows of each table; return how many went, 0 as well where nothing may go now."""
        if reason_to_rest():
            return 0
        outdated = sum(_delete(rows.model, rows.db, _oldest(rows, order)) for rows, order in _outdated())
        return self._prune_history() + outdated + _prune_half_messages() + prune_outbox(ROWS_PER_STEP)

    def close(self) -> None:
        """There is nothing to give back."""

    def _prune_history(self) -> int:
        """Walk along the history to where something is outdated, or from its end back to its beginning.

        There is no other way to what is old but its primary key: an index of moments would cost each message more than
        all of its pruning. Ids and moments hardly differ in their order, so the walk is short.
        """
        kept = conf.DLQ_PUBLISHED_RETENTION
        while kept is not None:
            history = PublishedMessage.objects.all()
            page = history.page(kept, after=self._after, size=ROWS_PER_STEP)
            self._after = page.end if page.goes_on else 0
            if page.outdated or not page.goes_on:
                return _delete(PublishedMessage, history.db, page.outdated)
        return 0


def reason_to_rest() -> str:
    """Say why nothing may be deleted now; nothing if it may."""
    if not conf.DLQ_PRUNE:
        return "DLQ_PRUNE is False"
    window = conf.DLQ_PRUNE_WINDOW
    if window is None:
        return ""
    now = database_now(router.db_for_write(PublishedMessage))
    if timezone.is_aware(now):
        now = timezone.localtime(now, timezone.get_default_timezone())
    return "" if _is_inside(now.time(), *window) else f"it is {now:%H:%M}, outside DLQ_PRUNE_WINDOW"


def _is_inside(moment: time, begin: time, end: time) -> bool:
    # A window may go over midnight.
    return begin <= moment < end if begin < end else not end <= moment < begin


def _outdated() -> Iterator[tuple[QuerySet[Model], str]]:
    kept: timedelta | None
    if (kept := conf.DLQ_INBOX_RETENTION) is not None:
        # Not those that a replay could meet: as long as a letter is there, it may be sent again.
        yield InboxMessage.objects.older_than(kept).without_letter(), "handled_at"
    if (kept := conf.DLQ_CLOSED_RETENTION) is not None:
        yield DeadLetter.objects.closed_longer_than(kept), "pk"
        yield StoppedGroup.objects.filter(resumed_at__lt=in_future(-kept)), "pk"
        # What consumers that died have left behind in partitions that nobody has taken since.
        yield Suspect.objects.filter(begun_at__lt=in_future(-kept)), "pk"
        yield TakenPartition.objects.filter(taken_at__lt=in_future(-kept)).exclude(_is_consumed()), "pk"


def _is_consumed() -> Q:
    """Return the condition of what handlers of this release consume: some process may have had it in hand for long."""
    return reduce(or_, (Q(group=each.group, topic__in=each.topics) for each in handlers.handlers), Q(pk__in=[]))


def _prune_half_messages() -> int:
    kept, halves = conf.DLQ_DECIDED_RETENTION, HalfMessage.objects.all()
    return 0 if kept is None else _delete(HalfMessage, halves.db, halves.outdated(kept, most=ROWS_PER_STEP))


def _oldest(rows: QuerySet[Model], order: str) -> list[int]:
    # In the order of the column with the index, or the whole table might be read for nothing.
    return list(rows.order_by(order).values_list("pk", flat=True)[:ROWS_PER_STEP])


def _delete(model: type[Model], using: str, ids: list[int]) -> int:
    # By ids: MySQL has no LIMIT in the subquery of a DELETE.
    if ids:
        model._default_manager.using(using).filter(pk__in=ids).delete()
    return len(ids)
