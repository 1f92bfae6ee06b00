"""Dead letters: messages that could not be sent, expired, or could not be handled, with all that is known of why."""

import hashlib
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, Final, Self

from django.db import IntegrityError, models, router, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from django_dlq.exceptions import IllegalTransition
from django_dlq.message import RESERVED, Headers
from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.fields import ExactCharField
from django_dlq.models.indexes import PartialIndex
from django_dlq.models.primary import PrimaryManager
from django_dlq.models.stored_message import StoredMessage


class State(models.TextChoices):
    """Where a letter is in its life."""

    RETRYING = "retrying", _("retrying")
    DEAD = "dead", _("dead")
    REPLAYING = "replaying", _("replaying")
    PARKED = "parked", _("parked")
    RESOLVED = "resolved", _("resolved")
    DISCARDED = "discarded", _("discarded")
    COMPENSATED = "compensated", _("compensated")


class Source(models.TextChoices):
    """Which side of the broker gave the message up."""

    RELAY = "relay", _("relay")
    CONSUMER = "consumer", _("consumer")


CLOSED: Final = frozenset({State.RESOLVED, State.DISCARDED, State.COMPENSATED})
ACTIVE: Final = frozenset({State.RETRYING, State.DEAD, State.REPLAYING})
"""Something is to be done about them. Behind those of an ordered handler, later messages of their key are parked."""

TRANSITIONS: Final[dict[str, tuple[frozenset[State], State]]] = {
    # verb: (from any of these states, to this one); docs/explanation/lifecycle.md draws it and a test compares
    "retry": (frozenset({State.RETRYING}), State.RETRYING),
    "give_up": (frozenset({State.RETRYING, State.DEAD, State.REPLAYING}), State.DEAD),
    "replay": (frozenset({State.RETRYING, State.DEAD}), State.REPLAYING),
    "edit": (frozenset({State.RETRYING, State.DEAD}), State.RESOLVED),
    "discard": (frozenset({State.RETRYING, State.DEAD, State.PARKED}), State.DISCARDED),
    "restore": (frozenset({State.DISCARDED, State.REPLAYING}), State.DEAD),
    "resolve": (frozenset({State.RETRYING, State.REPLAYING}), State.RESOLVED),
    "skip": (frozenset({State.RETRYING, State.DEAD, State.REPLAYING}), State.RESOLVED),
    "compensate": (frozenset({State.RETRYING, State.DEAD, State.REPLAYING}), State.COMPENSATED),
    "release": (frozenset({State.PARKED}), State.RETRYING),
}


class DeadLetterQuerySet(models.QuerySet["DeadLetter"]):
    """The words in which the machines and the desk speak of letters."""

    def open(self) -> Self:
        """Letters that are not settled."""
        return self.exclude(state__in=CLOSED)

    def due(self) -> Self:
        """Letters whose next attempt is due, by the database's clock; the longest due first."""
        return self.filter(state=State.RETRYING, next_attempt_at__lte=DatabaseNow()).order_by("next_attempt_at", "id")

    def of_group(self, group: str) -> Self:
        """Letters of what failed in one consumer group."""
        return self.filter(group=group)

    def holding(self) -> Self:
        """Letters behind which the later messages of their topic and key wait in the outbox; all of them are open."""
        return self.filter(holds_key=True)

    def in_order(self, order_key: str) -> Self:
        """Letters of one key in one group, whose messages an ordered handler takes one after the other."""
        return self.filter(order_key=order_key)

    def active(self) -> Self:
        """Letters about which something is to be done: open, and not parked."""
        return self.filter(state__in=ACTIVE)

    def parked(self) -> Self:
        """Letters that wait until those before them are settled; the first in the line comes first."""
        return self.filter(state=State.PARKED).order_by("pk")

    def of_message(self, group: str, message_key: str) -> Self:
        """The one open letter of a message in a group, if there is one."""
        return self.filter(open_key=open_key(group, message_key))

    def closed_longer_than(self, age: timedelta) -> Self:
        """Letters that were settled longer ago than this, by the database's clock."""
        return self.filter(state__in=CLOSED, closed_at__lt=in_future(-age))


class DeadLetter(StoredMessage):
    """One message that failed. What travelled is never changed: an edit makes a new letter that names this one."""

    state = models.CharField(_("state"), max_length=20, choices=State.choices)
    source = models.CharField(_("source"), max_length=20, choices=Source.choices)
    group = ExactCharField(_("group"), max_length=100, blank=True, default="")
    handler = models.CharField(_("handler"), max_length=255, blank=True, default="")
    partition = models.IntegerField(_("partition"), null=True, blank=True)
    offset = models.BigIntegerField(_("offset"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)

    error_class = models.CharField(_("error"), max_length=255)
    error_message = models.TextField(_("error message"), blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")
    fingerprint = models.CharField(_("fingerprint"), max_length=32)
    release = models.CharField(_("release"), max_length=255, blank=True, default="")

    # What its handler could not reach at the last attempt.
    dependency = ExactCharField(_("dependency"), max_length=100, blank=True, default="")
    # While the letter is open, later messages of its topic and key wait in the outbox (DLQ_HOLD_TOPICS).
    holds_key = models.BooleanField(_("holds its key"), default=False, editable=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    replays = models.PositiveIntegerField(_("replays"), default=0)
    # Retries that were begun since the last attempt that had an end: all but one in hand now have died.
    deaths = models.PositiveIntegerField(_("deaths"), default=0, db_default=0)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True, blank=True)
    first_failed_at = models.DateTimeField(_("first failed at"), db_default=DatabaseNow())
    last_failed_at = models.DateTimeField(_("last failed at"), db_default=DatabaseNow())
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    corrects = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="corrected_by",
        verbose_name=_("corrects"),
    )
    # Equal for two letters of one message in one group, NULL once settled: a unique index on it admits one open letter,
    # on databases without conditional indexes too.
    open_key = models.CharField(max_length=64, null=True, unique=True, editable=False)
    # Equal for letters whose messages are handled one after the other, open or not; NULL where order does not matter.
    order_key = models.CharField(max_length=64, null=True, editable=False)

    objects = PrimaryManager.from_queryset(DeadLetterQuerySet)()

    class Meta:
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")
        indexes = [
            models.Index(fields=["state", "next_attempt_at"], name="dlq_letter_due"),
            PartialIndex(
                fields=["group", "next_attempt_at"], where=Q(state=State.RETRYING), name="dlq_letter_group_due"
            ),
            models.Index(fields=["state", "-last_failed_at"], name="dlq_letter_newest"),
            models.Index(fields=["message_key"], name="dlq_letter_key"),
            models.Index(fields=["message_id"], name="dlq_letter_id"),
            models.Index(fields=["fingerprint"], name="dlq_letter_fingerprint"),
            PartialIndex(fields=["dependency", "state"], where=~Q(dependency=""), name="dlq_letter_dependency"),
            PartialIndex(fields=["holds_key", "topic"], where=Q(holds_key=True), name="dlq_letter_holds_key"),
            PartialIndex(
                fields=["order_key", "state", "id"], where=Q(order_key__isnull=False), name="dlq_letter_order_key"
            ),
        ]
        permissions = [
            ("replay_deadletter", "Can replay dead letters"),
            ("edit_deadletter", "Can edit and replay dead letters"),
            ("discard_deadletter", "Can discard dead letters"),
            ("restore_deadletter", "Can restore dead letters"),
            ("unmask_deadletter", "Can see masked values of messages"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.message_key}"

    @property
    def is_open(self) -> bool:
        """Whether the letter is not settled."""
        return self.state not in CLOSED

    def allows(self, verb: str) -> bool:
        """Tell whether this verb is possible from the state that this object was read with."""
        return self.state in TRANSITIONS[verb][0]

    def move(self, verb: str, *, only_if: Q | None = None, reread: bool = True, **changes: Any) -> None:
        """Carry out one transition, with these columns; raise IllegalTransition unless the row's state allows it now.

        The state is compared inside the UPDATE, so of two people who act at once one wins and the other is told.
        Without `reread` this object has what was written, and reads what the database has computed when it is asked.
        """
        sources, target = TRANSITIONS[verb]
        changes["state"] = target
        changes["open_key"] = None if target in CLOSED else self._own_open_key()
        changes["closed_at"] = DatabaseNow() if target in CLOSED else None
        if target in CLOSED:
            changes["holds_key"] = False
        if target != State.RETRYING:
            changes["next_attempt_at"] = None
        # Not simply where it was read, which may have been a replica.
        using = router.db_for_write(DeadLetter, instance=self)
        # Only a letter that was closed can meet another one of its message: then a savepoint lets the caller go on.
        savepoint = transaction.atomic(using) if sources & CLOSED else nullcontext()
        try:
            with savepoint:
                rows = DeadLetter.objects.using(using).filter(only_if or Q(), pk=self.pk, state__in=sources)
                moved = rows.update(**changes)
        except IntegrityError as error:
            raise IllegalTransition(f"dead letter {self.pk}: another letter for the same message is open") from error
        if not moved:
            self.refresh_from_db(using=using)
            raise IllegalTransition(f"dead letter {self.pk} is {self.state}, so it is too late to {verb} it")
        if reread:
            self.refresh_from_db(using=using)
        else:
            self._have(changes)

    def _have(self, changes: Mapping[str, Any]) -> None:
        for name, value in changes.items():
            if hasattr(value, "resolve_expression"):
                self.__dict__.pop(name, None)  # deferred, as Django calls it
            else:
                setattr(self, name, value)

    def failed_again(self, verb: str, *, delay: timedelta | None, **columns: Any) -> None:
        """Write another failed attempt, `retry`, `give_up` or `compensate`; once, if two processes made the attempt.

        It has ended, so deaths are counted anew, unless the columns say otherwise.
        """
        columns = {"deaths": 0} | columns
        columns |= {
            "attempts": F("attempts") + 1,
            "last_failed_at": DatabaseNow(),
            "next_attempt_at": None if delay is None else in_future(delay),
        }
        self.move(verb, only_if=Q(attempts=self.attempts), **columns)

    def publisher_headers(self) -> Headers:
        """Return the headers without those that this app set, which a replay sets anew."""
        return tuple((name, value) for name, value in self.headers if name not in RESERVED)

    def _own_open_key(self) -> str | None:
        return open_key(self.group, self.message_key) if self.source == Source.CONSUMER else None


def open_key(group: str, message_key: str) -> str:
    """Return the digest that two open letters of one message in one group would share."""
    return hashlib.sha256(f"{group}\x00{message_key}".encode()).hexdigest()
