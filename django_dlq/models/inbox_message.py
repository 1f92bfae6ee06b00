"""The inbox: which group has handled which message."""

from datetime import timedelta
from typing import Self

from django.db import connections, models
from django.db.models.constants import OnConflict
from django.utils.translation import gettext_lazy as _

from django_dlq.message import IDENTITY_LENGTH, ReceivedMessage
from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.fields import ExactCharField
from django_dlq.models.primary import PrimaryManager


class InboxQuerySet(models.QuerySet["InboxMessage"]):
    """The words in which the consumer and retention speak of the inbox."""

    def claim(self, message: ReceivedMessage, group: str) -> bool:
        """Insert the row that says "handled", and return False if it is there already.

        Call it first in the handler's transaction: a duplicate that is being handled elsewhere is waited for, and is
        claimed after all if that transaction rolls back. One statement without a savepoint, and a duplicate is not an
        error, which PostgreSQL would log.
        """
        connection = connections[self.db]
        columns = ("group", "message_key", "message_id", "topic")
        fields = [self.model._meta.get_field(name) for name in columns]
        names = ", ".join(connection.ops.quote_name(name) for name in columns)
        statement = connection.ops.insert_statement(on_conflict=OnConflict.IGNORE)
        suffix = connection.ops.on_conflict_suffix_sql(fields, OnConflict.IGNORE, [], [])
        table = connection.ops.quote_name(self.model._meta.db_table)
        values = (group, message.message_key, message.message_id, message.topic)
        with connection.cursor() as cursor:
            cursor.execute(f"{statement} {table} ({names}) VALUES (%s, %s, %s, %s) {suffix}", values)
            return bool(cursor.rowcount)

    def older_than(self, age: timedelta) -> Self:
        """Messages handled longer ago than this, by the database's clock."""
        return self.filter(handled_at__lt=in_future(-age))


class InboxMessage(models.Model):
    """One message that one group has handled. Not promised: anything after DLQ_INBOX_RETENTION has passed."""

    group = ExactCharField(_("group"), max_length=100)
    message_key = ExactCharField(_("message key"), max_length=IDENTITY_LENGTH)
    message_id = ExactCharField(_("message id"), max_length=IDENTITY_LENGTH)
    topic = ExactCharField(_("topic"), max_length=IDENTITY_LENGTH)
    handled_at = models.DateTimeField(_("handled at"), db_default=DatabaseNow())

    objects = PrimaryManager.from_queryset(InboxQuerySet)()

    class Meta:
        verbose_name = _("inbox message")
        verbose_name_plural = _("inbox messages")
        constraints = [models.UniqueConstraint(fields=["group", "message_key"], name="dlq_inbox_once")]
        indexes = [
            models.Index(fields=["message_key"], name="dlq_inbox_key"),
            models.Index(fields=["handled_at"], name="dlq_inbox_at"),
        ]

    def __str__(self) -> str:
        return f"{self.group} {self.message_key}"
