"""The history: messages that the broker has confirmed."""

from datetime import timedelta
from typing import NamedTuple, Self

from django.db import models
from django.db.models import Case, Q, Value, When
from django.utils.translation import gettext_lazy as _

from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.first_rows import first_rows
from django_dlq.models.indexes import RecencyIndex
from django_dlq.models.primary import PrimaryManager
from django_dlq.models.stored_message import StoredMessage


class Page(NamedTuple):
    """A part of the history: which of its messages are outdated, where it ends, and whether older ones may follow."""

    outdated: list[int]
    end: int
    goes_on: bool


class PublishedQuerySet(models.QuerySet["PublishedMessage"]):
    """The words in which retention speaks of the history."""

    def older_than(self, age: timedelta) -> Self:
        """Messages published longer ago than this, by the database's clock."""
        return self.filter(published_at__lt=in_future(-age))

    def page(self, age: timedelta, *, after: int, size: int) -> Page:
        """Read on along the primary key, and tell what is older than this, by the database's clock.

        An id is drawn when a message is written. So behind one that was written later than that long ago there is none
        that was published longer ago; but one that waited in the outbox may be young between old ones.
        """
        before = in_future(-age)
        was_published = _whether(Q(published_at__lt=before))
        was_written = _whether(Q(created_at__lt=before))
        columns = self.filter(pk__gt=after).order_by("pk").values_list("pk", was_published, was_written)
        rows = first_rows(columns, size)
        outdated = [pk for pk, is_outdated, _ in rows if is_outdated]
        goes_on = len(rows) == size and any(is_old for _, _, is_old in rows)
        return Page(outdated, rows[-1][0] if rows else after, goes_on)


class PublishedMessage(StoredMessage):
    """One message that was sent, and where it lies in the broker."""

    # One index less to fill; and since it grows with time, a table partitioned by ranges of it drops its oldest part.
    outbox_id = models.BigIntegerField(_("outbox id"), primary_key=True)
    lane = models.SmallIntegerField(_("lane"), db_default=0)
    priority = models.SmallIntegerField(_("priority"), default=0)
    letter_id = models.BigIntegerField(_("dead letter"), null=True, blank=True)
    group = models.CharField(_("group"), max_length=100, blank=True, default="")
    partition = models.IntegerField(_("partition"), null=True, blank=True)
    offset = models.BigIntegerField(_("offset"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    published_at = models.DateTimeField(_("published at"), db_default=DatabaseNow())

    objects = PrimaryManager.from_queryset(PublishedQuerySet)()

    class Meta:
        verbose_name = _("published message")
        verbose_name_plural = _("published messages")
        indexes = [
            models.Index(fields=["message_key"], name="dlq_published_key"),
            RecencyIndex(fields=["published_at"], name="dlq_published_at"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.message_key}"


def _whether(condition: Q) -> Case:
    return Case(When(condition, then=Value(1)), default=Value(0))
