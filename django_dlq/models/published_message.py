"""The history: messages that the broker has confirmed."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.indexes import RecencyIndex
from django_dlq.models.primary import PrimaryManager
from django_dlq.models.stored_message import StoredMessage


class PublishedQuerySet(models.QuerySet["PublishedMessage"]):
    """The words in which retention speaks of the history."""

    def older_than(self, age: timedelta) -> Self:
        """Messages published longer ago than this, by the database's clock."""
        return self.filter(published_at__lt=in_future(-age))


class PublishedMessage(StoredMessage):
    """One message that was sent, and where it lies in the broker."""

    # One index less to fill; and since it grows with time, a table partitioned by ranges of it drops its oldest part.
    outbox_id = models.BigIntegerField(_("outbox id"), primary_key=True)
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
