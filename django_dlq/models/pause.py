"""Kill switches: a topic, a key or a broker to which nothing is sent until a person resumes it."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_dlq.models.clock import DatabaseNow
from django_dlq.models.fields import ExactCharField
from django_dlq.models.primary import PrimaryManager


class Scope(models.TextChoices):
    """What is paused."""

    TOPIC = "topic", _("topic")
    KEY = "key", _("key")
    BROKER = "broker", _("broker")


class Pause(models.Model):
    """One thing that is paused: its messages wait in the outbox. The row goes when a person resumes it."""

    scope = models.CharField(_("what"), max_length=20, choices=Scope.choices)
    broker = models.CharField(_("broker"), max_length=100, blank=True, default="")
    topic = ExactCharField(_("topic"), max_length=255, blank=True, default="")
    key = models.TextField(_("key"), null=True, blank=True)
    # A key may be longer than an index takes.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    reason = models.TextField(_("reason"))
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

    objects = PrimaryManager["Pause"]()

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")

    def __str__(self) -> str:
        return f"{self.scope} {self.broker or self.topic}" + ("" if self.key is None else f" {self.key}")
