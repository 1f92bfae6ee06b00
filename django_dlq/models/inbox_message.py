"""The inbox: which group is done with which message."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache
from itertools import chain
from typing import Self

from django.db import connections, models
from django.db.models import Exists, OuterRef, Q
from django.db.models.constants import OnConflict
from django.utils.translation import gettext_lazy as _

from django_dlq.message import IDENTITY_LENGTH, ReceivedMessage
from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.dead_letter import DeadLetter
from django_dlq.models.fields import ExactCharField
from django_dlq.models.indexes import PartialIndex
from django_dlq.models.postgresql_array import text_array
from django_dlq.models.postgresql_direct import execute_directly
from django_dlq.models.primary import PrimaryManager
from django_dlq.models.waiting_key import WaitingKey

COLUMNS = ("group", "message_key", "message_id", "topic")


class Outcome(models.TextChoices):
    """In which way a group is done with a message."""

    HANDLED = "handled", _("handled")
    SKIPPED = "skipped", _("skipped")
    COMPENSATED = "compensated", _("compensated")


class InboxQuerySet(models.QuerySet["InboxMessage"]):
    """The words in which retention speaks of the inbox."""

    def older_than(self, age: timedelta) -> Self:
        """Messages handled longer ago than this, by the database's clock."""
        return self.filter(handled_at__lt=in_future(-age))

    def without_letter(self) -> Self:
        """Messages that nobody can replay: no dead letter of them is left in their group, neither open nor settled."""
        letters = DeadLetter.objects.filter(group=OuterRef("group"), message_key=OuterRef("message_key"))
        return self.exclude(Exists(letters))


class InboxManager(PrimaryManager.from_queryset(InboxQuerySet)):  # type: ignore[misc]  # a class made at run time
    """The words in which the consumer speaks of the inbox.

    They are not the queryset's: to make one would be a tenth of what a message costs.
    """

    def claim(
        self, message: ReceivedMessage, group: str, *, outcome: Outcome = Outcome.HANDLED, reason: str | None = None
    ) -> bool:
        """Insert the row that says that the group is done with the message; return False if it is there already.

        Call it first in the handler's transaction: a duplicate that is being handled elsewhere is waited for, and is
        claimed after all if that transaction rolls back. One statement without a savepoint, and a duplicate is not an
        error, which PostgreSQL would log.
        """
        using = self.db
        values: tuple[str | None, ...] = (group, message.message_key, message.message_id, message.topic)
        if outcome == Outcome.HANDLED:  # which is the column's default
            statement = _claim(using, rows=1)
        else:
            values = (*values, outcome.value, reason)
            statement = _claim_otherwise(using)
        return execute_directly(connections[using], statement, values, keep_plan=True).rows > 0

    def claim_in_turn(self, message: ReceivedMessage, group: str, order_key: str) -> bool:
        """Do the same with the same single statement, unless a letter of the message's key is open; tell which.

        False says either: that the message is done, or that the key waits. `is_done` tells them apart.
        """
        values = (group, message.message_key, message.message_id, message.topic, order_key)
        return execute_directly(connections[self.db], _claim_in_turn(self.db), values).rows > 0

    def is_done(self, message: ReceivedMessage, group: str) -> bool:
        """Tell whether the group is done with the message."""
        return bool(self.filter(group=group, message_key=message.message_key).exists())

    def claim_many(self, messages: Iterable[ReceivedMessage], group: str) -> list[ReceivedMessage]:
        """Do the same for many messages with one statement; return those that are new, each once, in their order.

        On MySQL, which does not tell which rows it has inserted, with one statement for each.
        """
        first: dict[str, ReceivedMessage] = {}
        for message in messages:
            first.setdefault(message.message_key, message)
        if len(first) < 2 or not connections[self.db].features.can_return_columns_from_insert:
            return [message for message in first.values() if self.claim(message, group)]
        # In one order everywhere, so that two who claim the same keys do not wait for each other.
        claimed = self._claim_many([first[key] for key in sorted(first)], group)
        return [message for key, message in first.items() if key in claimed]

    def _claim_many(self, messages: Sequence[ReceivedMessage], group: str) -> set[str]:
        keys = [message.message_key for message in messages]
        ids = [message.message_id for message in messages]
        topics = [message.topic for message in messages]
        connection = connections[self.db]
        values: Iterable[str]
        if connection.vendor != "postgresql":
            statement = f"{_claim(self.db, rows=len(keys))} RETURNING message_key"
            values = chain.from_iterable((group, *row) for row in zip(keys, ids, topics, strict=True))
        elif keys == ids and len(set(topics)) == 1:  # as usual, and a third of the values
            statement, values = _claim_keys(self.db), (group, topics[0], text_array(keys))
        else:
            statement, values = _claim_arrays(self.db), (group, *map(text_array, (keys, ids, topics)))
        return set(execute_directly(connection, statement, tuple(values)).first)


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

    objects = InboxManager()

    class Meta:
        verbose_name = _("inbox message")
        verbose_name_plural = _("inbox messages")
        # The key first: so people find a message by it, and it needs no index of its own, which each message would pay.
        constraints = [models.UniqueConstraint(fields=["message_key", "group"], name="dlq_inbox_once")]
        indexes = [
            models.Index(fields=["handled_at"], name="dlq_inbox_at"),
            # Few are, so where indexes may be partial a message that is handled pays nothing for it.
            PartialIndex(fields=["outcome", "group"], name="dlq_inbox_odd", where=~Q(outcome="handled")),
        ]

    def __str__(self) -> str:
        return f"{self.group} {self.message_key}"


@cache
def _claim(using: str, *, rows: int) -> str:
    return f"{_insert(using)} VALUES {', '.join(['(%s, %s, %s, %s)'] * rows)} {_unless_there(using)}"


@cache
def _claim_otherwise(using: str) -> str:
    columns = (*COLUMNS, "outcome", "reason")
    marks = ", ".join(["%s"] * len(columns))
    return f"{_insert(using, columns)} VALUES ({marks}) {_unless_there(using, columns)}"


@cache
def _claim_in_turn(using: str) -> str:
    quote = connections[using].ops.quote_name
    source = "FROM DUAL" if connections[using].vendor == "mysql" else ""
    waiting = f"SELECT 1 FROM {quote(WaitingKey._meta.db_table)} WHERE order_key = %s"  # noqa: S608
    return f"{_insert(using)} SELECT %s, %s, %s, %s {source} WHERE NOT EXISTS ({waiting}) {_unless_there(using)}"


@cache
def _claim_arrays(using: str) -> str:
    # A placeholder for each value would cost more than the inserting.
    rows = "SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[])"
    return f"{_insert(using)} {rows} {_unless_there(using)} RETURNING message_key"


@cache
def _claim_keys(using: str) -> str:
    rows = "SELECT %s, key, key, %s FROM unnest(%s::text[]) AS claimed (key)"
    return f"{_insert(using)} {rows} {_unless_there(using)} RETURNING message_key"


def _insert(using: str, columns: Sequence[str] = COLUMNS) -> str:
    ops = connections[using].ops
    names = ", ".join(map(ops.quote_name, columns))
    table = ops.quote_name(InboxMessage._meta.db_table)
    return f"{ops.insert_statement(on_conflict=OnConflict.IGNORE)} {table} ({names})"


def _unless_there(using: str, columns: Sequence[str] = COLUMNS) -> str:
    fields = [InboxMessage._meta.get_field(name) for name in columns]
    return connections[using].ops.on_conflict_suffix_sql(fields, OnConflict.IGNORE, [], [])
