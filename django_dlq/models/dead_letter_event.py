"""The timeline of a dead letter: every failure and every act, with a name on it."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from django_dlq import signals
from django_dlq.exceptions import IllegalTransition
from django_dlq.models.actor import Actor, actor_field
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.dead_letter import DeadLetter
from django_dlq.models.primary import PrimaryManager


class Kind(models.TextChoices):
    """What happened."""

    FAILED = "failed", _("failed")
    REPLAYED = "replayed", _("replayed")
    EDITED = "edited", _("edited")
    DISCARDED = "discarded", _("discarded")
    RESTORED = "restored", _("restored")
    RESOLVED = "resolved", _("resolved")
    SKIPPED = "skipped", _("skipped")
    COMPENSATED = "compensated", _("compensated")
    PARKED = "parked", _("parked")
    RELEASED = "released", _("released")


class DeadLetterEventManager(PrimaryManager["DeadLetterEvent"]):
    """Add lines to timelines."""

    def note(
        self,
        letter: DeadLetter,
        kind: Kind,
        *,
        actor: Actor,
        reason: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> "DeadLetterEvent":
        """Write what happened to a letter, who did it, and why; tell it to the signal's receivers once committed."""
        user: Any = None if isinstance(actor, str) else actor
        name = actor if isinstance(actor, str) else actor.get_username()
        event = self.create(
            letter=letter, kind=kind, actor=user, actor_name=name, reason=reason.strip(), data=dict(data or {})
        )
        if kind != Kind.FAILED:  # of failures, the signal message_failed tells
            tell = partial(signals.tell, signals.letter_changed, DeadLetter, letter=letter, event=event)
            transaction.on_commit(tell, using=event._state.db)
        return event


class DeadLetterEvent(models.Model):
    """One line of a letter's timeline. Lines are added, never changed; they go when retention deletes the letter."""

    letter = models.ForeignKey(
        DeadLetter, on_delete=models.CASCADE, related_name="events", verbose_name=_("dead letter")
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    at = models.DateTimeField(_("at"), db_default=DatabaseNow())
    actor = actor_field()
    # The name outlives the account.
    actor_name = models.CharField(_("actor's name"), max_length=255)
    reason = models.TextField(_("reason"), blank=True, default="")
    data = models.JSONField(_("data"), default=dict)

    objects = DeadLetterEventManager()

    class Meta:
        verbose_name = _("dead letter event")
        verbose_name_plural = _("dead letter events")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.letter_id} {self.kind}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the line; raise IllegalTransition for one that is written already."""
        if self.pk is not None and not self._state.adding:
            raise IllegalTransition("an event is never changed; add another one")
        super().save(*args, **kwargs)
