"""The relays that run: each says so on the database's clock, and so all of them know their share of the lanes."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.primary import PrimaryManager


class RelayProcessQuerySet(models.QuerySet["RelayProcess"]):
    """The words in which relays speak of each other."""

    def alive(self) -> Self:
        """Relays that have said lately that they run."""
        return self.filter(alive_until__gt=DatabaseNow())

    def beat(self, owner: str, lease: timedelta, *, sent: int = 0, rate: float = 0.0) -> int:
        """Say that a relay runs, and how much it has sent; forget the silent ones, and return how many run."""
        self.filter(alive_until__lte=DatabaseNow()).exclude(owner=owner).delete()
        if not self.filter(owner=owner).update(alive_until=in_future(lease), sent=sent, rate=rate):
            self.create(owner=owner, alive_until=in_future(lease), sent=sent, rate=rate)
        return self.alive().count()


class RelayProcess(models.Model):
    """One relay that runs, whether or not there is a lane for it."""

    owner = models.CharField(_("relay"), max_length=255, primary_key=True)
    started_at = models.DateTimeField(_("started at"), db_default=DatabaseNow())
    alive_until = models.DateTimeField(_("alive until"))
    # Since it started; and lately, in messages per second.
    sent = models.BigIntegerField(_("messages sent"), default=0)
    rate = models.FloatField(_("messages per second"), default=0.0)

    objects = PrimaryManager.from_queryset(RelayProcessQuerySet)()

    class Meta:
        verbose_name = _("relay")
        verbose_name_plural = _("relays")

    def __str__(self) -> str:
        return self.owner
