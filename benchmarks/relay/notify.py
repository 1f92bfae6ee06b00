"""What calling the relay costs those who publish, when they are busy."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import mean

from benchmarks import database
from benchmarks.measure import Comparison, Result, in_turns
from benchmarks.processes import ROOT

WRITERS = 4
# Short and many: what else the machine does then hits all sides.
TURNS, SECONDS = 8, 0.5
HOW = {"off": "", "on": "DLQ_RELAY_NOTIFY", "inside": "NOTIFY inside each transaction"}

Writers = list["subprocess.Popen[str]"]


def notify(rounds: int) -> Result:
    """Let writers that call and writers that do not take turns, while somebody listens."""
    with ExitStack() as stack:
        sides = {how: stack.enter_context(_writers(how)) for how in HOW}
        stack.enter_context(database.by_hand()).execute("LISTEN django_dlq")
        off, on, inside = zip(*(_round(list(sides.values())) for _ in range(rounds)), strict=True)
    return Result(figures=[_comparison("on", on, off, goal="1.0 x"), _comparison("inside", inside, off)])


def _round(sides: Sequence[Writers]) -> list[float]:
    database.empty()
    database.settle()
    return [mean(rates) for rates in in_turns(TURNS, [partial(_rate, writers) for writers in sides])]


def _comparison(how: str, rates: Sequence[float], without: Sequence[float], *, goal: str = "") -> Comparison:
    return Comparison(
        name=f"{WRITERS} writers, {HOW[how]}",
        unit="transactions/s",
        ours=rates,
        other=without,
        against="without",
        goal=goal,
        note="each writes an order and publishes one message" if goal else "by hand, for comparison",
    )


def _rate(writers: Writers) -> float:
    """Let all write at the same time; return the transactions per second of all together."""
    for writer in writers:
        assert writer.stdin is not None
        print(SECONDS, file=writer.stdin, flush=True)
    return sum(int(_line(writer)) for writer in writers) / SECONDS


@contextmanager
def _writers(how: str) -> Iterator[Writers]:
    """Start processes that wait to be told."""
    environment = os.environ | {"BENCH_DATABASE": database.NAME, "BENCH_NOTIFY": how}
    command = [sys.executable, "-m", "benchmarks.writer"]
    writers: Writers = [
        subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(WRITERS)
    ]
    try:
        for writer in writers:
            _line(writer)
        yield writers
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def _line(writer: "subprocess.Popen[str]") -> str:
    assert writer.stdout is not None
    if line := writer.stdout.readline():
        return line
    raise RuntimeError("a writer has ended")
