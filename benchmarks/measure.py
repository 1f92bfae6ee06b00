"""Clocks, rounds, and two ways of doing one thing side by side."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One thing, measured through django_dlq and by hand in the same rounds.

    The ratio is the median of each round's own: what else the machine does then hits both sides.
    """

    name: str
    unit: str
    ours: Sequence[float]
    raw: Sequence[float]
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours, as a multiple of the loop by hand."""
        return median(ours / raw for ours, raw in zip(self.ours, self.raw, strict=True))

    def as_dict(self) -> dict[str, Any]:
        """Return what is written to results.json."""
        return asdict(self) | {"ratio": round(self.ratio, 3)}


def seconds(act: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def interleaved(times: int, acts: Sequence[Callable[[], object]]) -> list[float]:
    """Call all in turn, again and again, and return the median seconds of each."""
    taken = [[seconds(act) for act in acts] for _ in range(times)]
    return [median(column) for column in zip(*taken, strict=True)]


def rates_in_turns(acts: Sequence[Callable[[], int]], expected: int) -> list[float]:
    """Call all in turn until each had so many messages; return the messages per second of each one's own time."""
    done, spent = [0] * len(acts), [0.0] * len(acts)
    while min(done) < expected:
        for place, act in enumerate(acts):
            if done[place] < expected:
                started = time.perf_counter()
                done[place] += act()
                spent[place] += time.perf_counter() - started
    return [count / taken for count, taken in zip(done, spent, strict=True)]
