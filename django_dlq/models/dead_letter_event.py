"""The timeline of a dead letter: every failure and every act, with a name on it."""

from typing import Any

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_dlq.exceptions import IllegalTransition
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.dead_letter import DeadLetter


class Kind(models.TextChoices):
    """What happened."""

    FAILED = "failed", _("failed")
    REPLAYED = "replayed", _("replayed")
    EDITED = "edited", _("edited")
    DISCARDED = "discarded", _("discarded")
    RESTORED = "restored", _("restored")
    RESOLVED = "resolved", _("resolved")


class DeadLetterEvent(models.Model):
    """One line of a letter's timeline. Lines are added, never changed; they go when retention deletes the letter."""

    letter = models.ForeignKey(
        DeadLetter, on_delete=models.CASCADE, related_name="events", verbose_name=_("dead letter")
    )
    kind = models.CharField(_("kind"), max_length=20, choices=Kind.choices)
    at = models.DateTimeField(_("at"), db_default=DatabaseNow())
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("actor"),
    )
    # The name outlives the account.
    actor_name = models.CharField(_("actor's name"), max_length=255)
    reason = models.TextField(_("reason"), blank=True, default="")
    data = models.JSONField(_("data"), default=dict)

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
