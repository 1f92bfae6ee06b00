"""Clocks, rounds, and two ways of doing one thing side by side."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One thing that was measured, and what stood beside it in the same rounds.

    The ratio is the median of each round's own: what else the machine does then hits both sides.
    """

    name: str
    unit: str
    ours: Sequence[float]
    other: Sequence[float] = ()
    against: str = "raw loop"
    goal: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours, as a multiple of what stood beside it."""
        if not self.other:
            return None
        return round(median(ours / other for ours, other in zip(self.ours, self.other, strict=True)), 3)

    def as_dict(self) -> dict[str, Any]:
        """Return what is written to results.json."""
        return asdict(self) | {"ratio": self.ratio}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one scenario came to: figures for the tables, and series for the plots."""

    figures: Sequence[Comparison] = ()
    series: Mapping[str, Any] = field(default_factory=dict)


def seconds(act: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def interleaved(times: int, acts: Sequence[Callable[[], object]]) -> list[float]:
    """Call all in turn, again and again, and return the median seconds of each."""
    taken = [[seconds(act) for act in acts] for _ in range(times)]
    return [median(column) for column in zip(*taken, strict=True)]


def in_turns(rounds: int, acts: Sequence[Callable[[], T]]) -> list[list[T]]:
    """Call all in turn, each round beginning with another one; return what each came to, round by round."""
    found: list[list[T]] = [[] for _ in acts]
    for number in range(rounds):
        for step in range(len(acts)):
            place = (number + step) % len(acts)
            found[place].append(acts[place]())
    return found


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
