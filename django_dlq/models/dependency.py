"""What handlers depend on, and whether its circuit lets them run."""

from datetime import timedelta
from typing import Any

from django.db import models, router, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from django_dlq.models.actor import actor_field
from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.dead_letter import DeadLetter, State
from django_dlq.models.fields import ExactCharField
from django_dlq.models.primary import PrimaryManager


class Circuit(models.TextChoices):
    """Whether handlers that need it run: all of them, none, or one message to see."""

    CLOSED = "closed", _("closed")
    OPEN = "open", _("open")
    HALF_OPEN = "half_open", _("half-open")


BY_ITSELF = Q(actor_name="")
"""Not opened by a person: then only a person closes it."""


class DependencyManager(PrimaryManager["Dependency"]):
    """The transitions of a circuit. Each compares the state that it leaves in its UPDATE, and tells if it was made.

    `pause` is the time until the next probe or trial, on the database's clock; it is a lease too: who has prolonged it
    is the only one that asks.
    """

    def seen_by(self, names: list[str]) -> models.QuerySet["Dependency"]:
        """Return these dependencies, each with `is_due`: whether it is time to probe, or to try a message."""
        due = models.Case(models.When(next_probe_at__lte=DatabaseNow(), then=True), default=False)
        return self.filter(name__in=names).annotate(is_due=due)

    def count_failure(self, name: str, *, error_class: str, error_message: str) -> "Dependency":
        """Count a failure in a row, unless the circuit is not closed; return the row as it is then."""
        changes = _failed(error_class, error_message) | {"failures": F("failures") + 1}
        with transaction.atomic(using=_database()):
            self._move(name, Circuit.CLOSED, Circuit.CLOSED, **changes)
            row = self.filter(name=name).first()
        if row is not None:
            return row
        self.get_or_create(name=name)
        return self.count_failure(name, error_class=error_class, error_message=error_message)

    def forget_failures(self, name: str) -> bool:
        """Begin to count anew, since it has answered."""
        return self._move(name, Circuit.CLOSED, Circuit.CLOSED, only_if=Q(failures__gt=0), failures=0)

    def open(self, name: str, *, failures: int, pause: timedelta) -> bool:
        """Open the circuit after so many failures in a row."""
        changes: dict[str, Any] = {"opened_at": DatabaseNow(), "trials": 0, "next_probe_at": in_future(pause)}
        return self._move(name, Circuit.CLOSED, Circuit.OPEN, only_if=Q(failures__gte=failures), **changes)

    def take_back(self, name: str) -> bool:
        """Close what was only just opened: the probe has answered, so it was the messages' fault."""
        return self._move(name, Circuit.OPEN, Circuit.CLOSED, only_if=BY_ITSELF, **_nothing_wrong())

    def claim_probe(self, name: str, *, lease: timedelta) -> bool:
        """Be the one that probes now."""
        is_due = BY_ITSELF & Q(next_probe_at__lte=DatabaseNow())
        return self._move(name, Circuit.OPEN, Circuit.OPEN, only_if=is_due, next_probe_at=in_future(lease))

    def fail_probe(self, name: str, *, pause: timedelta, error_class: str, error_message: str) -> bool:
        """Write down that the probe has failed, and when to ask again."""
        changes = _failed(error_class, error_message)
        changes |= {"trials": F("trials") + 1, "next_probe_at": in_future(pause)}
        return self._move(name, Circuit.OPEN, Circuit.OPEN, only_if=BY_ITSELF, **changes)

    def half_open(self, name: str) -> bool:
        """Let one message be tried, since the probe has succeeded; what waits for its next attempt is due now."""
        with transaction.atomic(using=_database()):
            is_half = self._move(name, Circuit.OPEN, Circuit.HALF_OPEN, only_if=BY_ITSELF, next_probe_at=DatabaseNow())
            if is_half:
                _wake(name)
        return is_half

    def claim_trial(self, name: str, *, lease: timedelta, without_probe: bool) -> bool:
        """Be the one that tries a message now; where no probe can be asked, from the open circuit too."""
        sources = [Circuit.HALF_OPEN, *([Circuit.OPEN] if without_probe else [])]
        is_due = BY_ITSELF & Q(next_probe_at__lte=DatabaseNow())
        return self._move(name, *sources, Circuit.HALF_OPEN, only_if=is_due, next_probe_at=in_future(lease))

    def end_trial(self, name: str) -> bool:
        """Let the next message be tried: this one has told nothing of the dependency."""
        return self._move(name, Circuit.HALF_OPEN, Circuit.HALF_OPEN, next_probe_at=DatabaseNow())

    def fail_trial(self, name: str, *, pause: timedelta) -> bool:
        """Open the circuit again, since the message that was tried has failed."""
        changes: dict[str, Any] = {"trials": F("trials") + 1, "next_probe_at": in_future(pause)}
        return self._move(name, Circuit.HALF_OPEN, Circuit.OPEN, **changes)

    def close(self, name: str, *, replay_by: str = "") -> bool:
        """Close the half-open circuit, since a message was handled; what waits for its next attempt is due now.

        replay_by: in whose name the letters that died of the outage are to be replayed, if at all.
        """
        return self._close(name, Circuit.HALF_OPEN, replay_by=replay_by)

    def open_by_hand(self, name: str, **who: Any) -> bool:
        """Open the circuit until a person closes it; a row for the name is made if there is none."""
        opened: dict[str, Any] = {"opened_at": DatabaseNow(), "next_probe_at": None, "trials": 0}
        with transaction.atomic(using=_database()):
            self.get_or_create(name=name)
            return self._move(name, *Circuit, Circuit.OPEN, only_if=BY_ITSELF, **opened, **who)

    def close_by_hand(self, name: str) -> bool:
        """Close the circuit, whoever has opened it."""
        return self._close(name, Circuit.OPEN, Circuit.HALF_OPEN)

    def ask_for_replay(self, name: str, *, replay_by: str) -> bool:
        """Have the letters that died of it until now replayed, in somebody's name."""
        return bool(self.filter(name=name).update(replay_by=replay_by[:255], replay_until=DatabaseNow()))

    def end_replay(self, name: str) -> bool:
        """Take note that all letters that were to be replayed are; for whoever has locked the row."""
        return bool(self.filter(name=name).update(replay_by="", replay_until=None))

    def _close(self, name: str, *sources: Circuit, replay_by: str = "") -> bool:
        with transaction.atomic(using=_database()):
            is_closed = self._move(name, *sources, Circuit.CLOSED, **_nothing_wrong())
            if is_closed:
                _wake(name)
                if replay_by:
                    self.ask_for_replay(name, replay_by=replay_by)
        return is_closed

    def _move(self, name: str, *states: Circuit, only_if: Q | None = None, **changes: Any) -> bool:
        """Go from any of the first states to the last one."""
        *sources, target = states
        rows = self.filter(only_if or Q(), name=name, state__in=sources)
        return bool(rows.update(state=target, **changes))


class Dependency(models.Model):
    """Something that handlers need, such as another service, and the circuit that all processes share."""

    name = ExactCharField(_("name"), max_length=100, primary_key=True)
    state = models.CharField(_("circuit"), max_length=20, choices=Circuit.choices, default=Circuit.CLOSED)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    trials = models.PositiveIntegerField(_("failed probes"), default=0)
    opened_at = models.DateTimeField(_("open since"), null=True, blank=True)
    next_probe_at = models.DateTimeField(_("next probe at"), null=True, blank=True)
    failed_at = models.DateTimeField(_("last failed at"), null=True, blank=True)
    error_class = models.CharField(_("error"), max_length=255, blank=True, default="")
    error_message = models.TextField(_("error message"), blank=True, default="")
    # Who has opened it by hand, and why; empty where it opened by itself.
    actor = actor_field(_("opened by"))
    actor_name = models.CharField(_("opener's name"), max_length=255, blank=True, default="")
    reason = models.TextField(_("reason"), blank=True, default="")
    # In whose name the letters that died of it until then are being replayed.
    replay_by = models.CharField(_("replayed for"), max_length=255, blank=True, default="")
    replay_until = models.DateTimeField(_("replayed until"), null=True, blank=True)

    objects = DependencyManager()

    class Meta:
        verbose_name = _("dependency")
        verbose_name_plural = _("dependencies")
        permissions = [
            ("open_dependency", "Can open circuits"),
            ("close_dependency", "Can close circuits"),
        ]

    def __str__(self) -> str:
        return str(self.name)

    @property
    def is_by_hand(self) -> bool:
        """Whether a person has opened it, and so only a person closes it."""
        return bool(self.actor_name)

    def dead(self) -> models.QuerySet[DeadLetter]:
        """Return the letters that died of it."""
        return DeadLetter.objects.filter(dependency=self.name, state=State.DEAD)


def _failed(error_class: str, error_message: str) -> dict[str, Any]:
    return {"error_class": error_class[:255], "error_message": error_message, "failed_at": DatabaseNow()}


def _nothing_wrong() -> dict[str, Any]:
    cleared: dict[str, Any] = {"failures": 0, "trials": 0, "opened_at": None, "next_probe_at": None}
    return cleared | {"actor": None, "actor_name": "", "reason": ""}


def _wake(name: str) -> None:
    waiting = DeadLetter.objects.filter(dependency=name, state=State.RETRYING)
    waiting.update(next_attempt_at=DatabaseNow())


def _database() -> str:
    return router.db_for_write(Dependency)
