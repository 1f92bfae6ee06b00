"""What checkers have said about half messages, and what kept them from it."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_dlq.exceptions import IllegalTransition
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.half_message import HalfMessage
from django_dlq.models.primary import PrimaryManager


class Answer(models.TextChoices):
    """What came of a check."""

    COMMIT = "commit", _("commit")
    ROLLBACK = "rollback", _("rollback")
    UNKNOWN = "unknown", _("unknown")
    UNREACHABLE = "unreachable", _("not reached")
    LOST = "lost", _("no report")
    ASKED_AGAIN = "asked_again", _("asked again")


COUNTED = frozenset({Answer.COMMIT, Answer.ROLLBACK, Answer.UNKNOWN})
"""Answers of a checker. What did not reach one uses up no check."""


class HalfMessageCheck(models.Model):
    """One line of the timeline of a half message. Lines are added, never changed; they go with the half message."""

    half = models.ForeignKey(
        HalfMessage, on_delete=models.CASCADE, related_name="timeline", verbose_name=_("half message")
    )
    at = models.DateTimeField(_("at"), db_default=DatabaseNow())
    answer = models.CharField(_("answer"), max_length=20, choices=Answer.choices)
    # How long the checker took, in seconds.
    seconds = models.FloatField(_("seconds"), default=0.0)
    # The process that asked, or the person who wanted it.
    owner = models.CharField(_("asked by"), max_length=255, blank=True, default="")
    error_class = models.CharField(_("error"), max_length=255, blank=True, default="")
    error_message = models.TextField(_("error message"), blank=True, default="")
    traceback = models.TextField(_("traceback"), blank=True, default="")

    objects = PrimaryManager()

    class Meta:
        verbose_name = _("check of a half message")
        verbose_name_plural = _("checks of half messages")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.half_id} {self.answer}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Add the line; raise IllegalTransition for one that is written already."""
        if self.pk is not None and not self._state.adding:
            raise IllegalTransition("a check is never changed; the next one is another line")
        super().save(*args, **kwargs)
