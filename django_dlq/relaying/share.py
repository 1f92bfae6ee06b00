"""The lanes that one relay has, and how it comes by them: all relays that run share them evenly."""

import math
import random
import time
from collections.abc import Collection

from django_dlq import signals
from django_dlq.conf import conf
from django_dlq.exceptions import LeaseLost
from django_dlq.message import LANES
from django_dlq.models import RelayLane, RelayProcess
from django_dlq.models.postgresql import Fence

LONGEST_BEAT = 1.0
"""Seconds between two looks at the other relays, or a third of a lease that is shorter."""


class Share:
    """One relay's part of the lanes. The times that count are the database's; the local clock says when to look."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.held: dict[int, int] = {}
        self.fair = LANES
        self._next_beat = self._next_keeping = self._lease_ends = 0.0
        self._sent = self._sent_before = 0
        self._last_beat: float | None = None
        self._rate = 0.0

    @property
    def is_beat_due(self) -> bool:
        """Whether it is time to look at the other relays again."""
        return time.monotonic() >= self._next_beat

    @property
    def patience(self) -> float:
        """The seconds for which it may wait for something before it has to insist on its lanes."""
        return min(_longest_beat(), max(0.0, self.lasts / 2))

    @property
    def lasts(self) -> float:
        """The seconds for which nobody can take over; not more than 0 if perhaps somebody has."""
        return self._lease_ends - time.monotonic()

    def count(self, sent: int) -> None:
        """Take note that messages were sent, for the statistics."""
        self._sent += sent

    def beat(self) -> set[int]:
        """Say that this relay runs, and prolong its leases; return the lanes that others have taken from it."""
        began = time.monotonic()
        lease = conf.DLQ_RELAY_LEASE
        self._measure(began)
        alive = RelayProcess.objects.beat(self.owner, lease, sent=self._sent, rate=self._rate)
        if began >= self._next_keeping:
            RelayLane.objects.keep(self.owner, lease)
            self._next_keeping = began + lease.total_seconds() / 3
            self._lease_ends = began + lease.total_seconds()
        now = RelayLane.objects.held(self.owner)
        lost = {lane for lane, epoch in self.held.items() if now.get(lane) != epoch}
        self.held = now
        self.fair = math.ceil(LANES / alive)
        self._next_beat = began + _longest_beat()
        return lost

    def insist(self, sender: type) -> None:
        """Prolong the leases now; raise LeaseLost, and tell of lanes that are gone, if it is too late for that."""
        self.doubt()
        lost = self.beat()
        if lost:  # this look has noted what is left, so the next one will not miss them
            signals.tell(signals.relay_lost_lanes, sender, owner=self.owner, lanes=lost)
        if lost or self.lasts <= 0:
            raise LeaseLost("lanes have passed to another relay")
        self._next_beat = 0.0  # to take lanes, or to give some back, is as due as it was

    def surplus(self) -> list[int]:
        """Return lanes that are another relay's by right."""
        return sorted(self.held)[self.fair :]

    def give_back(self, lanes: Collection[int]) -> None:
        """Give lanes to whoever takes them; nothing of them may be on its way."""
        RelayLane.objects.give_back(self.owner, lanes)
        self.held = {lane: epoch for lane, epoch in self.held.items() if lane not in lanes}

    def take(self) -> dict[int, int]:
        """Take free lanes up to the fair share; return them."""
        missing = self.fair - len(self.held)
        free = RelayLane.objects.free() if missing > 0 else []
        taken = (
            RelayLane.objects.take(self.owner, random.sample(free, min(missing, len(free))), conf.DLQ_RELAY_LEASE)
            if free
            else {}
        )
        self.held |= taken
        return taken

    def leave(self) -> None:
        """Give everything back, so that the other relays need not wait."""
        if self._last_beat is not None:
            RelayLane.objects.give_back(self.owner, range(LANES))
            RelayProcess.objects.filter(owner=self.owner).delete()
        self.held = {}
        self._last_beat = None
        self.doubt()

    def doubt(self) -> None:
        """Look at the lanes again, and prolong the leases, before anything else."""
        self._next_beat = self._next_keeping = 0.0

    def fence(self, lanes: Collection[int]) -> Fence:
        """Return what a completion in these lanes is compared with."""
        return Fence(self.owner, tuple(lanes), tuple(self.held.get(lane, -1) for lane in lanes))

    def _measure(self, now: float) -> None:
        if self._last_beat is not None and now > self._last_beat:
            self._rate = (self._sent - self._sent_before) / (now - self._last_beat)
        self._sent_before, self._last_beat = self._sent, now


def _longest_beat() -> float:
    return min(LONGEST_BEAT, conf.DLQ_RELAY_LEASE.total_seconds() / 3)
