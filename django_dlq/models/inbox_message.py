"""The inbox: which group is done with which message."""

from datetime import timedelta
from typing import Self

from django.db import connections, models
from django.db.models import Exists, OuterRef
from django.db.models.constants import OnConflict
from django.utils.translation import gettext_lazy as _

from django_dlq.message import IDENTITY_LENGTH, ReceivedMessage
from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.dead_letter import DeadLetter
from django_dlq.models.fields import ExactCharField
from django_dlq.models.primary import PrimaryManager


class Outcome(models.TextChoices):
    """In which way a group is done with a message."""

    HANDLED = "handled", _("handled")
    SKIPPED = "skipped", _("skipped")
    COMPENSATED = "compensated", _("compensated")


class InboxQuerySet(models.QuerySet["InboxMessage"]):
    """The words in which the consumer and retention speak of the inbox."""

    def claim(
        self, message: ReceivedMessage, group: str, *, outcome: Outcome = Outcome.HANDLED, reason: str | None = None
    ) -> bool:
        """Insert the row that says that the group is done with the message; return False if it is there already.

        Call it first in the handler's transaction: a duplicate that is being handled elsewhere is waited for, and is
        claimed after all if that transaction rolls back. One statement without a savepoint, and a duplicate is not an
        error, which PostgreSQL would log.
        """
        connection = connections[self.db]
        values: dict[str, str | None] = {
            "group": group,
            "message_key": message.message_key,
            "message_id": message.message_id,
            "topic": message.topic,
        }
        if outcome != Outcome.HANDLED:  # which is the column's default
            values |= {"outcome": outcome.value, "reason": reason}
        fields = [self.model._meta.get_field(name) for name in values]
        names = ", ".join(connection.ops.quote_name(name) for name in values)
        marks = ", ".join(["%s"] * len(values))
        statement = connection.ops.insert_statement(on_conflict=OnConflict.IGNORE)
        suffix = connection.ops.on_conflict_suffix_sql(fields, OnConflict.IGNORE, [], [])
        table = connection.ops.quote_name(self.model._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(f"{statement} {table} ({names}) VALUES ({marks}) {suffix}", list(values.values()))
            return bool(cursor.rowcount)

    def older_than(self, age: timedelta) -> Self:
        """Messages handled longer ago than this, by the database's clock."""
        return self.filter(handled_at__lt=in_future(-age))

    def without_letter(self) -> Self:
        """Messages that nobody can replay: no dead letter of them is left in their group, neither open nor settled."""
        letters = DeadLetter.objects.filter(group=OuterRef("group"), message_key=OuterRef("message_key"))
        return self.exclude(Exists(letters))


class InboxMessage(models.Model):
    """One message that one group is done with. Not promised: anything after DLQ_INBOX_RETENTION has passed."""

    group = ExactCharField(_("group"), max_length=100)
    message_key = ExactCharField(_("message key"), max_length=IDENTITY_LENGTH)
    message_id = ExactCharField(_("message id"), max_length=IDENTITY_LENGTH)
    topic = ExactCharField(_("topic"), max_length=IDENTITY_LENGTH)
    handled_at = models.DateTimeField(_("handled at"), db_default=DatabaseNow())
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome.choices, db_default=Outcome.HANDLED)
    # Why it was not simply handled; NULL where it was.
    reason = models.TextField(_("reason"), null=True)

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
