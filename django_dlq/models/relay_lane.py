"""Who may relay: a lease on the database's clock, with a fencing number."""

from datetime import timedelta

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.primary import PrimaryManager


class RelayLaneManager(PrimaryManager["RelayLane"]):
    """Take, keep and give back the lane. Each is one UPDATE whose WHERE decides a race."""

    def take(self, owner: str, lease: timedelta) -> int | None:
        """Lease the lane if it is free; return the epoch, or None while another relay holds it."""
        self.get_or_create(lane=0)
        free = Q(leased_until=None) | Q(leased_until__lte=DatabaseNow())
        taken = self.filter(free, lane=0).update(owner=owner, epoch=F("epoch") + 1, leased_until=in_future(lease))
        return self.filter(lane=0, owner=owner).values_list("epoch", flat=True).first() if taken else None

    def keep(self, owner: str, epoch: int, lease: timedelta) -> bool:
        """Prolong the lease; return False if it has passed to another relay, or has run out."""
        return bool(
            self._mine(owner, epoch).filter(leased_until__gt=DatabaseNow()).update(leased_until=in_future(lease))
        )

    def give_back(self, owner: str, epoch: int) -> None:
        """End the lease at once, so that the next relay need not wait for it to run out."""
        self._mine(owner, epoch).update(leased_until=None)

    def _mine(self, owner: str, epoch: int) -> models.QuerySet["RelayLane"]:
        return self.filter(lane=0, owner=owner, epoch=epoch)


class RelayLane(models.Model):
    """A share of the outbox that one relay at a time may send. For now there is one lane: the whole outbox."""

    lane = models.PositiveSmallIntegerField(_("lane"), primary_key=True)
    owner = models.CharField(_("relay"), max_length=255, blank=True, default="")
    epoch = models.BigIntegerField(_("epoch"), default=0)
    leased_until = models.DateTimeField(_("leased until"), null=True, blank=True)

    objects = RelayLaneManager()

    class Meta:
        verbose_name = _("relay lane")
        verbose_name_plural = _("relay lanes")

    def __str__(self) -> str:
        return f"{self.lane}: {self.owner} (epoch {self.epoch})"
