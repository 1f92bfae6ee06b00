"""Kill switches: a topic, a key or a broker to which nothing is sent until a person resumes it."""

import hashlib
import json
from dataclasses import dataclass

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_dlq.models.actor import actor_field
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.fields import ExactCharField, ExactTextField
from django_dlq.models.primary import PrimaryManager


class Scope(models.TextChoices):
    """What is paused."""

    TOPIC = "topic", _("topic")
    KEY = "key", _("key")
    BROKER = "broker", _("broker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Everything that is paused, to be compared with what was paused a moment ago."""

    topics: frozenset[str] = frozenset()
    keys: frozenset[tuple[str, str]] = frozenset()
    brokers: frozenset[str] = frozenset()


class PauseManager(PrimaryManager["Pause"]):
    """The words in which the relay speaks of pauses."""

    def active(self) -> Pauses:
        """Return everything that is paused, with one query."""
        rows = list(self.values_list("scope", "topic", "key", "broker"))
        return Pauses(
            topics=frozenset(topic for scope, topic, _key, _broker in rows if scope == Scope.TOPIC),
            keys=frozenset((topic, key or "") for scope, topic, key, _broker in rows if scope == Scope.KEY),
            brokers=frozenset(broker for scope, _topic, _key, broker in rows if scope == Scope.BROKER),
        )


class Pause(models.Model):
    """One thing that is paused: its messages wait in the outbox. The row goes when a person resumes it."""

    scope = models.CharField(_("what"), max_length=20, choices=Scope.choices)
    broker = models.CharField(_("broker"), max_length=100, blank=True, default="")
    topic = ExactCharField(_("topic"), max_length=255, blank=True, default="")
    key = ExactTextField(_("key"), null=True, blank=True)
    # A key may be longer than an index takes.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    reason = models.TextField(_("reason"))
    at = models.DateTimeField(_("at"), db_default=DatabaseNow())
    actor = actor_field()
    # The name outlives the account.
    actor_name = models.CharField(_("actor's name"), max_length=255)

    objects = PauseManager()

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")

    def __str__(self) -> str:
        return f"{self.scope} {self.broker or self.topic}" + ("" if self.key is None else f" {self.key}")

    @property
    def stopped(self) -> Q:
        """The condition of the outbox's messages that wait because of it."""
        if self.scope == Scope.BROKER:
            return Q(broker=self.broker)
        return Q(topic=self.topic) if self.scope == Scope.TOPIC else Q(topic=self.topic, key=self.key)

    def own_digest(self) -> str:
        """Return what two pauses of the same thing share; the database keeps it unique."""
        parts = json.dumps([self.scope, self.broker, self.topic, self.key])
        return hashlib.sha256(parts.encode()).hexdigest()
