"""Clocks, rounds, and two ways of doing one thing side by side."""

import itertools
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from statistics import median
from typing import Any, TypeVar

T = TypeVar("T")

RATES = frozenset({"msg/s", "transactions/s", "checks/s"})
"""Units of which more is better; of times, memory and what is left behind less is."""

GOAL = re.compile(r"(\d[\d,]*(?:\.\d+)?)(?: (x)\b)?")
STRICTLY = ("under ", "below ")


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

    @property
    def missed(self) -> bool:
        """Whether a goal was not reached: the median's own, or, with an x, the ratio's."""
        return any(self._misses(*goal) for goal in GOAL.findall(self.goal))

    def _misses(self, limit: str, is_ratio: str) -> bool:
        value = self.ratio if is_ratio else median(self.ours)
        goal = float(limit.replace(",", ""))
        assert value is not None, f"{self.name} has nothing beside it for {self.goal}"
        if self.unit in RATES:
            return value < goal
        return value > goal or (value == goal and self.goal.startswith(STRICTLY))

    @classmethod
    def of(cls, saved: Mapping[str, Any]) -> "Comparison":
        """Return what was written to results.json."""
        return cls(**{each.name: saved[each.name] for each in fields(cls)})

    def as_dict(self) -> dict[str, Any]:
        """Return what is written to results.json."""
        return asdict(self) | {"ratio": self.ratio}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one scenario came to: figures for the tables, and series for the plots."""

    figures: Sequence[Comparison] = ()
    rounds: int | None = None
    """How many there were, where it is not as many as were asked for."""

    series: Mapping[str, Any] = field(default_factory=dict)


def seconds(act: Callable[[], object]) -> float:
    """Time one call."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def interleaved(times: int, acts: Sequence[Callable[[], object]]) -> list[float]:
    """Call all in turn, again and again, each time beginning with another one; return the median seconds of each."""
    return [median(taken) for taken in in_turns(times, [partial(seconds, act) for act in acts])]


def in_turns(rounds: int, acts: Sequence[Callable[[], T]]) -> list[list[T]]:
    """Call all in turn, each round beginning with another one; return what each came to, round by round."""
    found: list[list[T]] = [[] for _ in acts]
    for number in range(rounds):
        for place in from_another(number, range(len(acts))):
            found[place].append(acts[place]())
    return found


def from_another(number: int, sides: Sequence[T]) -> list[T]:
    """Return those who take turns in the order of this round: each round begins with another one."""
    first = number % len(sides)
    return [*sides[first:], *sides[:first]]


def rates_in_turns(acts: Sequence[Callable[[], int]], expected: int) -> list[float]:
    """Call all in turn, each time beginning with another one, until each had so many messages.

    Return the messages per second of each one's own time.
    """
    done, spent = [0] * len(acts), [0.0] * len(acts)
    for number in itertools.count():
        if min(done) >= expected:
            break
        for place in from_another(number, range(len(acts))):
            if done[place] < expected:
                started = time.perf_counter()
                done[place] += acts[place]()
                spent[place] += time.perf_counter() - started
    return [count / taken for count, taken in zip(done, spent, strict=True)]
