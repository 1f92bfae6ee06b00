"""Half messages: prepared before work outside this database, invisible until they are committed or rolled back."""

from collections.abc import Collection
from datetime import timedelta
from functools import partial
from typing import Any, Self

from django.db import connections, models, router, transaction
from django.db.models import BooleanField, Count, ExpressionWrapper, Q
from django.utils.translation import gettext_lazy as _

from django_dlq import signals
from django_dlq.exceptions import DecidedOtherwise, IllegalTransition, UnknownHalfMessage
from django_dlq.message import ReceivedMessage
from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.fields import ExactCharField
from django_dlq.models.fresh import fresh
from django_dlq.models.half_commit import can_commit_at_once, commit_at_once, insert_at_once
from django_dlq.models.half_states import DECIDED, HALF_TRANSITIONS, DecidedBy, HalfState
from django_dlq.models.indexes import PartialIndex
from django_dlq.models.outbox_message import OutboxMessage
from django_dlq.models.own_transaction import in_own_transaction
from django_dlq.models.primary import PrimaryManager
from django_dlq.models.stored_message import StoredMessage


class HalfMessageQuerySet(models.QuerySet["HalfMessage"]):
    """The words in which check-back speaks of half messages."""

    def open(self) -> Self:
        """Those that nobody has decided yet."""
        # The column of the partial index, which the planner knows by this condition only.
        return self.filter(decided_at=None)

    def waiting(self) -> Self:
        """Those whose checker is still to be asked."""
        return self.open().filter(state=HalfState.PREPARED)

    def due(self) -> Self:
        """Those whose next check is due, by the database's clock; the longest due first."""
        return self.waiting().filter(next_check_at__lte=DatabaseNow()).order_by("next_check_at", "pk")

    def count_by_missing_checker(self, names: Collection[str]) -> "models.QuerySet[HalfMessage, tuple[str, int]]":
        """Return the names of checkers besides these, and how many half messages of this project name each."""
        orphans = self.filter(producer="").exclude(checker__in=names).order_by("checker")
        return orphans.values_list("checker").annotate(count=Count("pk"))

    def decided(self) -> Self:
        """Those that were committed or rolled back."""
        return self.filter(state__in=DECIDED)

    def outdated(self, age: timedelta, *, most: int) -> list[int]:
        """Return ids of up to so many that were decided longer ago than this, by the database's clock.

        Only the oldest are looked at, since no index knows when they were decided: they were so in about their order.
        """
        is_over = ExpressionWrapper(Q(decided_at__lt=in_future(-age)), output_field=BooleanField())
        oldest = self.decided().order_by("pk").values_list("pk", is_over)[:most]
        return [pk for pk, over in oldest if over]

    def move(self, verb: str, **changes: Any) -> int:
        """Carry out one transition, with these columns; return for how many the state allows it now."""
        sources, target = HALF_TRANSITIONS[verb]
        return self.filter(state__in=sources).update(state=target, **changes)


class HalfMessage(StoredMessage):
    """One message that is sent if, and only if, it is committed. `delay` and `expires_in` count from then."""

    priority = models.SmallIntegerField(_("priority"), default=0)
    delay = models.DurationField(_("delay"), null=True, blank=True)
    expires_in = models.DurationField(_("expires in"), null=True, blank=True)

    state = models.CharField(_("state"), max_length=20, choices=HalfState.choices, default=HalfState.PREPARED)
    # Who is asked: a function of this project, or the service that prepared it over HTTP.
    checker = models.CharField(_("checker"), max_length=255, blank=True, default="")
    producer = ExactCharField(_("producer"), max_length=100, blank=True, default="")
    idempotency_key = ExactCharField(_("idempotency key"), max_length=255, null=True, blank=True, editable=False)

    prepared_at = models.DateTimeField(_("prepared at"), db_default=DatabaseNow())
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decided_by = models.CharField(_("decided by"), max_length=20, choices=DecidedBy.choices, blank=True, default="")
    # A person's or a producer's; it outlives the account.
    actor_name = models.CharField(_("actor's name"), max_length=255, blank=True, default="")
    reason = models.TextField(_("reason"), blank=True, default="")

    # Only those that reached a checker count.
    checks = models.PositiveIntegerField(_("checks"), default=0)
    most_checks = models.PositiveIntegerField(_("most checks"))
    check_every = models.DurationField(_("check every"))
    # While somebody has it in hand to ask, the end of that lease: so one index finds what is due and free.
    next_check_at = models.DateTimeField(_("next check at"), null=True, blank=True)
    owner = models.CharField(_("asked by"), max_length=255, blank=True, default="", editable=False)
    epoch = models.BigIntegerField(_("epoch"), default=0, editable=False)
    # How many processes have had it in hand since the last answer, and have not said what came of it.
    deaths = models.PositiveIntegerField(_("deaths"), default=0)

    # Of a new one: how long nobody is asked.
    check_after: timedelta | None = None

    objects = PrimaryManager.from_queryset(HalfMessageQuerySet)()

    class Meta:
        verbose_name = _("half message")
        verbose_name_plural = _("half messages")
        constraints = [
            models.UniqueConstraint(fields=["message_id"], name="dlq_half_id"),
            models.UniqueConstraint(fields=["producer", "idempotency_key"], name="dlq_half_request"),
        ]
        # Few are open at any time, and many decided: only the open ones cost an entry.
        indexes = [PartialIndex(fields=["state", "next_check_at"], where=Q(decided_at=None), name="dlq_half_open")]
        permissions = [
            ("commit_halfmessage", "Can commit half messages"),
            ("rollback_halfmessage", "Can roll back half messages"),
            ("ask_halfmessage", "Can have checkers asked again about half messages"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.message_key}"

    @property
    def is_open(self) -> bool:
        """Whether nobody has decided it, as far as this object knows."""
        return self.state not in DECIDED

    @property
    def checks_left(self) -> int:
        """How often a checker will still be asked before a person must decide."""
        return max(0, self.most_checks - self.checks)

    def insert(self, using: str) -> None:
        """Write a new one; what the database's clock computes is read on access."""
        if self.check_after is not None and connections[using].vendor == "postgresql":
            insert_at_once(self, self.check_after, using=using)
        else:
            self.save(using=using, force_insert=True)
        self.forget_expressions()

    def commit(
        self, *, by: DecidedBy = DecidedBy.PROCESS, actor_name: str = "", reason: str = ""
    ) -> OutboxMessage | None:
        """Let the message be sent: write its outbox row and the decision in one transaction, and return the row.

        Inside your own atomic() both are part of that transaction, and come to be or vanish with your rows. Where it
        was committed before, nothing happens, and None is returned.
        Raises DecidedOtherwise if it was rolled back, by a check perhaps: then the transaction around the call, if
        there is one, cannot be committed any more. Raises UnknownHalfMessage if the row is gone.
        """
        using = self._state.db or ""
        if can_commit_at_once(using):
            row = commit_at_once(self, by, actor_name, reason.strip(), using=using)
            if row is not None:
                self._decided(HalfState.COMMITTED, by, actor_name, reason.strip())
                return row
        with self._transaction():
            if not self._decide("commit", by=by, actor_name=actor_name, reason=reason):
                return None
            row = self.outbox_row()
            OutboxMessage.objects.add([row], using=self._state.db)
        return row

    def rollback(self, *, by: DecidedBy = DecidedBy.PROCESS, actor_name: str = "", reason: str = "") -> bool:
        """Let the message never be sent; return False where it was rolled back before, and nothing happens.

        Inside your own atomic() this is part of that transaction. Raises DecidedOtherwise if it was committed, and
        UnknownHalfMessage if the row is gone.
        """
        with self._transaction():
            return self._decide("rollback", by=by, actor_name=actor_name, reason=reason)

    def ask_again(self) -> None:
        """Begin anew to ask about one that no check could decide; raise IllegalTransition for any other."""
        if not self._move("ask_again", checks=0, deaths=0, next_check_at=DatabaseNow()):
            raise IllegalTransition(f"half message {self.pk} is not undecided, so there is nothing to ask again")

    def outbox_row(self) -> OutboxMessage:
        """Return the row that a commit writes."""
        row = fresh(OutboxMessage, {**self.message_columns(), "priority": self.priority})
        if self.delay is not None:
            row.due_at = in_future(self.delay)
        if self.expires_in is not None:
            row.expires_at = in_future(self.expires_in)
        return row

    def received(self) -> ReceivedMessage:
        """Return the message as its checker is called with it."""
        row = fresh(OutboxMessage, self.message_columns())
        record = row.record()._replace(timestamp=self.prepared_at)
        return ReceivedMessage.of(record, "", attempt=self.checks + 1)

    def forget_expressions(self) -> None:
        """Let what the database's clock has computed be read from the database if somebody asks for it."""
        for name in ("prepared_at", "decided_at", "next_check_at"):
            if hasattr(self.__dict__.get(name), "resolve_expression"):
                del self.__dict__[name]

    def allows(self, verb: str) -> bool:
        """Tell whether this verb is possible from the state that this object was read with."""
        return self.state in HALF_TRANSITIONS[verb][0]

    def _transaction(self) -> Any:
        # Without a savepoint a refusal dooms the transaction around it, even if the error is caught inside: work that
        # was to go with this message must not be committed without it. The transaction of a TestCase is nobody's work.
        using = self._state.db or router.db_for_write(HalfMessage, instance=self)
        return transaction.atomic(using=using, savepoint=not in_own_transaction(using))

    def _decide(self, verb: str, *, by: DecidedBy, actor_name: str, reason: str) -> bool:
        """Write a decision; return False if the same one was made before, and raise if another was.

        The state is compared inside the UPDATE, which waits for whoever is deciding right now. So of a process and a
        check that decide at the same moment one is first, and the other learns of it.
        """
        changes = {"decided_by": by, "actor_name": actor_name, "reason": reason.strip()}
        if self._move(verb, decided_at=DatabaseNow(), next_check_at=None, owner="", **changes):
            self._tell()
            return True
        # With a lock: a snapshot of this transaction could be older than the decision.
        rows = HalfMessage.objects.using(self._state.db).select_for_update()
        found = rows.filter(pk=self.pk).first()
        if found is None:
            raise UnknownHalfMessage(f"half message {self.message_id} is gone; it was decided long ago")
        self.state, self.decided_by = found.state, found.decided_by
        if found.state != HALF_TRANSITIONS[verb][1]:
            raise DecidedOtherwise(
                f"half message {self.message_id} was {HalfState(found.state).name.lower().replace('_', ' ')} by "
                f"{found.decided_by} at {found.decided_at}, so it is too late to {verb} it"
            )
        return False

    def _decided(self, state: HalfState, by: DecidedBy, actor_name: str, reason: str) -> None:
        """Take note of what was written by hand."""
        self.state, self.decided_by, self.actor_name, self.reason = state, by, actor_name, reason
        self.next_check_at, self.owner = None, ""
        self.__dict__.pop("decided_at", None)  # read on access
        self._tell()

    def _tell(self) -> None:
        tell = partial(signals.tell, signals.half_message_decided, HalfMessage, half=self)
        transaction.on_commit(tell, using=self._state.db)

    def _move(self, verb: str, **changes: Any) -> bool:
        """Carry out one transition, with these columns; return whether the row's state allows it now."""
        if not HalfMessage.objects.using(self._state.db).filter(pk=self.pk).move(verb, **changes):
            return False
        for name, value in {"state": HALF_TRANSITIONS[verb][1], **changes}.items():
            setattr(self, name, value)
        self.forget_expressions()
        return True
