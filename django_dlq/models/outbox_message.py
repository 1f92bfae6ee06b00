"""The outbox: messages that were written with the business rows and are not yet confirmed by the broker."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Protocol, Self

from django.db import connections, models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_dlq import message as wire
from django_dlq.conf import conf
from django_dlq.message import Record
from django_dlq.models import postgresql
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.indexes import PartialIndex
from django_dlq.models.key_locks import lock_keys
from django_dlq.models.outgoing import own_headers
from django_dlq.models.postgresql import Fence, Place
from django_dlq.models.primary import PrimaryManager
from django_dlq.models.published_message import PublishedMessage
from django_dlq.models.relay_lane import RelayLane
from django_dlq.models.stored_message import StoredMessage
from django_dlq.models.wake_up import wake_relay_on_commit

COMPUTED = frozenset({"due_at", "expires_at", "created_at"})
"""Columns that the database computes with its own clock."""

ROWS_PER_INSERT = 1000


class Sent(Protocol):
    """What is known of a row that was read to be sent."""

    @property
    def pk(self) -> Any:
        """The row's id."""

    @property
    def topic(self) -> str:
        """Its topic."""

    @property
    def key(self) -> str | None:
        """Its key."""

    @property
    def priority(self) -> int:
        """Its priority."""


class OutboxQuerySet(models.QuerySet["OutboxMessage"]):
    """The words in which the relay speaks of the outbox."""

    def due(self) -> Self:
        """Messages whose time has come, by the database's clock."""
        return self.filter(Q(due_at=None) | Q(due_at__lte=DatabaseNow()))

    def elders_of(self, rows: Collection[Sent]) -> Self:
        """Due messages of the same keys that were published before one of these with a lower priority.

        One condition for each topic, not for each row, which SQLite would find too deep: so there may be a few more,
        of these keys too, that were published a little later.
        """
        elders = Q(pk__in=[])
        for topic in {row.topic for row in rows}:
            urgent = [row for row in rows if row.topic == topic]
            lower, earlier = max(row.priority for row in urgent), max(row.pk for row in urgent)
            keys = {row.key for row in urgent}
            elders |= Q(topic=topic, key__in=keys, priority__lt=lower, pk__lt=earlier)
        return self.due().filter(elders)

    def complete(self, places: Sequence[Place], fence: Fence | None = None) -> int:
        """Move what is confirmed to the history, or only delete it where DLQ_PUBLISHED_RETENTION keeps none.

        Return how many were moved. With a fence, only those of lanes that are held, which stay so until the transaction
        ends; elsewhere than on PostgreSQL LeaseLost is raised unless all of them are.
        """
        using = self.db
        keeps_history = timedelta(0) != conf.DLQ_PUBLISHED_RETENTION
        if connections[using].vendor == "postgresql":
            if keeps_history:
                return postgresql.move(self.model, PublishedMessage, places, using=using, fence=fence)
            return postgresql.delete(self.model, [pk for pk, _, _ in places], using=using, fence=fence)
        with transaction.atomic(using=using):
            if fence is not None:
                RelayLane.objects.db_manager(using).fence(
                    fence.owner, dict(zip(fence.lanes, fence.epochs, strict=True))
                )
            if keeps_history:
                rows = self.using(using).in_bulk([pk for pk, _, _ in places])
                history = [rows[pk].published(*place) for pk, *place in places if pk in rows]
                PublishedMessage.objects.using(using).bulk_create(history)
            return self.using(using).filter(pk__in=[pk for pk, _, _ in places]).delete()[0]


class OutboxManager(PrimaryManager.from_queryset(OutboxQuerySet)):  # type: ignore[misc]  # a class made at run time
    """The words in which those who publish speak of the outbox: to make a queryset would take a tenth of a message."""

    def add(self, rows: Sequence["OutboxMessage"], *, using: str | None = None) -> None:
        """Insert new rows in this order and set their ids. What the database's clock computes is read on access.

        Not promised: Django's signals pre_save and post_save.
        """
        using = using or self.db
        if conf.DLQ_LOCK_KEYS:
            lock_keys(((row.topic, key) for row in rows if (key := row.key_bytes) is not None), using=using)
        if conf.DLQ_RELAY_NOTIFY and any(row.due_at is None for row in rows):
            wake_relay_on_commit(using)
        for row in rows:
            row.choose_lane()
        if connections[using].vendor == "postgresql" and not any(row.is_timed for row in rows):
            for start in range(0, len(rows), ROWS_PER_INSERT):
                self._add_part(rows[start : start + ROWS_PER_INSERT], using)
            return
        if len(rows) == 1:
            rows[0].save(using=using, force_insert=True)
        else:
            self.using(using).bulk_create(rows, batch_size=ROWS_PER_INSERT)
        for row in rows:
            row.forget_expressions()

    def _add_part(self, rows: Sequence["OutboxMessage"], using: str) -> None:
        ids = postgresql.insert(self.model, rows, using=using, without=COMPUTED)
        for row, pk in zip(rows, ids, strict=True):
            row.pk, row._state.adding, row._state.db = pk, False, using
            row.__dict__.pop("created_at", None)


class OutboxMessage(StoredMessage):
    """One message to send. Rows are inserted and deleted, never updated, so Debezium can read the table too."""

    # Which relay sends it: see RelayLane.
    lane = models.SmallIntegerField(_("lane"), default=0, editable=False)
    # The higher number is sent first, except inside one key.
    priority = models.SmallIntegerField(_("priority"), default=0)
    due_at = models.DateTimeField(_("due at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), db_default=DatabaseNow())
    # A replay: the dead letter it comes from, and the only group that shall handle it (empty: all).
    letter_id = models.BigIntegerField(_("dead letter"), null=True, blank=True)
    group = models.CharField(_("group"), max_length=100, blank=True, default="")

    objects = OutboxManager()

    class Meta:
        verbose_name = _("outbox message")
        verbose_name_plural = _("outbox messages")
        # The relay reads along the primary key; what is urgent or delayed is rare, and has small indexes of its own.
        indexes = [
            PartialIndex(fields=["-priority", "id"], where=Q(priority__gt=0), name="dlq_outbox_urgent"),
            PartialIndex(fields=["due_at", "id"], where=Q(due_at__isnull=False), name="dlq_outbox_delayed"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.message_key}"

    @property
    def is_timed(self) -> bool:
        """Whether the message has a moment before or after which it is not sent."""
        return self.due_at is not None or self.expires_at is not None

    def forget_expressions(self) -> None:
        """Let columns that were written as expressions be read from the database if somebody asks for them."""
        for name in COMPUTED:
            if hasattr(self.__dict__.get(name), "resolve_expression"):
                del self.__dict__[name]

    def choose_lane(self) -> None:
        """Set the lane that the key has for good; a message without a key has that of its id."""
        key = self.key_bytes
        self.lane = wire.lane_of(self.message_id.encode() if key is None else key)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the row, in its lane."""
        self.choose_lane()
        super().save(*args, **kwargs)

    def record(self) -> Record:
        """Return the message as it will travel: the publisher's headers, then this app's own."""
        return Record(
            topic=self.topic,
            key=self.key_bytes,
            body=self.body_bytes,
            headers=(*self.headers, *own_headers(self)),
        )

    def published(self, partition: int | None, offset: int | None) -> PublishedMessage:
        """Return the row of the history that this one becomes."""
        return PublishedMessage(
            outbox_id=self.pk,
            lane=self.lane,
            priority=self.priority,
            letter_id=self.letter_id,
            group=self.group,
            created_at=self.created_at,
            partition=partition,
            offset=offset,
            **self.message_columns(),
        )
