"""Wait for what is being completed, with the lanes kept meanwhile."""

import time
from collections.abc import Collection
from concurrent.futures import Future, wait
from typing import Any, Final

from django_dlq import signals
from django_dlq.conf import conf
from django_dlq.relaying.share import Share

LONG: Final = 5.0
"""Seconds after which it is told that the database keeps the relay waiting; again after as many minutes."""

MOST_LEASES: Final = 10
"""For so many leases the lanes are kept. After that others may try: perhaps it is only this relay's connection."""


def wait_with_lanes(futures: Collection["Future[Any]"], share: Share, sender: type) -> None:
    """Return when all of them have ended, however they have.

    What is confirmed may have to wait for a lock, while somebody makes an index. If the lanes went to another relay
    then, it would send the same messages again, and wait for the same lock. Raises LeaseLost if they went all the same.
    """
    began = time.monotonic()
    told_after = LONG
    while wait(futures, timeout=share.patience).not_done:
        waited = time.monotonic() - began
        if waited > told_after:
            signals.tell(signals.completion_waits, sender, owner=share.owner, seconds=waited)
            told_after = waited + LONG * 60
        if waited > conf.DLQ_RELAY_LEASE.total_seconds() * MOST_LEASES:
            wait(futures)
        else:
            share.insist(sender)
