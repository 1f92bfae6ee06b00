"""Which relay may send what: lanes, leased on the database's clock, with a fencing number."""

from collections.abc import Collection, Mapping
from datetime import timedelta

from django.db import connections, models, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from django_dlq.exceptions import LeaseLost
from django_dlq.message import LANES
from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.primary import PrimaryManager

Held = Mapping[int, int]
"""Lanes, each with the epoch of its lease."""

_FREE = Q(leased_until=None) | Q(leased_until__lte=DatabaseNow())


class RelayLaneManager(PrimaryManager["RelayLane"]):
    """Take, keep, check and give back lanes: a WHERE decides each race, under locks that are taken in one order."""

    def free(self) -> list[int]:
        """Return the lanes that nobody has, or whose relay has fallen silent."""
        known = dict(self.annotate(is_free=_FREE).values_list("lane", "is_free"))
        missing = [lane for lane in range(LANES) if lane not in known]
        if missing:
            self.bulk_create([RelayLane(lane=lane) for lane in missing], ignore_conflicts=True)
        return [lane for lane in range(LANES) if known.get(lane, True)]

    def take(self, owner: str, lanes: Collection[int], lease: timedelta) -> dict[int, int]:
        """Lease those of the lanes that are free; return them with their new epochs."""
        with transaction.atomic(using=self.db):
            # Two relays that come at once pass each other by, instead of waiting or locking each other out.
            skip = connections[self.db].features.has_select_for_update_skip_locked
            candidates = self.select_for_update(skip_locked=skip).filter(_FREE, lane__in=lanes).order_by("lane")
            wanted = list(candidates.values_list("lane", flat=True))
            mine = {"owner": owner, "epoch": F("epoch") + 1, "leased_until": in_future(lease)}
            if not wanted or not self.filter(_FREE, lane__in=wanted).update(**mine):
                return {}
            return {lane: epoch for lane, epoch in self.held(owner).items() if lane in wanted}

    def held(self, owner: str) -> dict[int, int]:
        """Return the lanes that a relay has, whether or not its lease has run out."""
        return dict(self.filter(owner=owner).values_list("lane", "epoch"))

    def keep(self, owner: str, lease: timedelta) -> None:
        """Prolong the leases of a relay; also one that has run out, if nobody has taken the lane meanwhile."""
        with transaction.atomic(using=self.db):
            self._lock(Q(owner=owner))
            self.filter(owner=owner).update(leased_until=in_future(lease))

    def give_back(self, owner: str, lanes: Collection[int]) -> None:
        """End leases at once, so that the next relay need not wait for them to run out."""
        given = Q(owner=owner, lane__in=lanes)
        with transaction.atomic(using=self.db):
            self._lock(given)
            self.filter(given).update(owner="", leased_until=None)

    def fence(self, owner: str, held: Held) -> None:
        """Raise LeaseLost unless each lane is this relay's at its epoch; until the transaction ends they stay so."""
        mine = Q(pk__in=[])
        for epoch, lanes in _by_epoch(held).items():
            mine |= Q(epoch=epoch, lane__in=lanes)
        with transaction.atomic(using=self.db, savepoint=False):
            found = self._lock(mine & Q(owner=owner))
        if found != len(held):
            raise LeaseLost("a lane has passed to another relay")

    def _lock(self, lanes: Q) -> int:
        """Lock these lanes until the transaction ends, the lowest first; return how many there are.

        Whoever completes locks them in that order too, on another connection of the same relay. An UPDATE alone locks
        rows as they lie, and so the two waited for each other: then the one that gives way has its batch sent again.
        """
        if connections[self.db].features.has_select_for_update:
            return len(self.select_for_update().filter(lanes).order_by("lane").values_list("lane"))
        # What SQLite begins by locking: a SELECT before it could not become a writer any more if there was another.
        return self.filter(lanes).update(owner=F("owner"))


class RelayLane(models.Model):
    """A share of the outbox that one relay at a time may send: the messages whose keys hash to its number."""

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


def _by_epoch(held: Held) -> dict[int, list[int]]:
    lanes: dict[int, list[int]] = {}
    for lane, epoch in held.items():
        lanes.setdefault(epoch, []).append(lane)
    return lanes
