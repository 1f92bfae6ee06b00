"""Who has which lanes, as the table says while it happens."""

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django_dlq.models import DatabaseNow, RelayLane
from tests.scenarios.background import repeating
from tests.scenarios.stage import Actor

LANES = 64
SECONDS_BETWEEN_LOOKS = 0.02


def is_of(owner: str, process: Actor) -> bool:
    """Tell whether a relay is this process."""
    return f":{process.process.pid}:" in owner


def owners() -> list[str]:
    """List who has a lane now, once per lane."""
    return list(RelayLane.objects.filter(leased_until__gt=DatabaseNow()).values_list("owner", flat=True))


def shares(*processes: Actor) -> list[int]:
    """Count the lanes of each process."""
    found = Counter(owners())
    return [sum(count for owner, count in found.items() if is_of(owner, process)) for process in processes]


def are_shared(*processes: Actor) -> bool:
    """Tell whether these processes have all lanes, and none of them more than its part, rounded up."""
    found = shares(*processes)
    return sum(found) == LANES and max(found) <= math.ceil(LANES / len(processes))


class Watch:
    """What was seen of the lanes, look by look."""

    def __init__(self) -> None:
        self.looks = 0
        self.epochs: dict[tuple[int, int], str] = {}
        self.latest: dict[int, int] = {}
        self.faults: list[str] = []

    def look(self) -> None:
        """Note who has which lane in which epoch; an epoch has one owner for good, and never comes back."""
        self.looks += 1
        held = RelayLane.objects.filter(leased_until__gt=DatabaseNow())
        for lane, owner, epoch in held.values_list("lane", "owner", "epoch"):
            known = self.epochs.setdefault((lane, epoch), owner)
            if known != owner:
                self.faults.append(f"lane {lane}: epoch {epoch} was of {known} and is of {owner}")
            if epoch < self.latest.get(lane, 0):
                self.faults.append(f"lane {lane}: epoch {epoch} came after {self.latest[lane]}")
            self.latest[lane] = epoch


@contextmanager
def watching() -> Iterator[Watch]:
    """Look at the table again and again while the block runs; fail if a lane ever had two owners."""
    watch = Watch()
    with repeating(watch.look, every=SECONDS_BETWEEN_LOOKS):
        yield watch
    assert watch.looks > 10
    assert watch.faults == []
