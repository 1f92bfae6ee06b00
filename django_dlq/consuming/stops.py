"""Which groups are stopped in this release, asked at most once a second."""

import time
from collections.abc import Mapping

from django_dlq.conf import conf
from django_dlq.models import StoppedGroup

LOOK_EVERY = 1.0
"""Seconds for which an answer of the database is good."""


class Stops:
    """What one machine knows of the stops in its release."""

    def __init__(self) -> None:
        self._standing: Mapping[str, StoppedGroup] = {}
        self._until = 0.0

    def look(self) -> Mapping[str, StoppedGroup]:
        """Return the stops by group."""
        if (now := time.monotonic()) >= self._until:
            self._standing = StoppedGroup.objects.standing(conf.DLQ_RELEASE)
            self._until = now + LOOK_EVERY
        return self._standing

    def forget(self) -> None:
        """Ask again at the next look: there is something new."""
        self._until = 0.0
