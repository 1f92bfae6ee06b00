"""Outboxes that have grown: ten million messages wait, and the next ones are to go as fast as ever."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median

from benchmarks import database, kafka
from benchmarks.measure import Comparison, Result, in_turns
from benchmarks.processes import OURS
from benchmarks.relay import drain, fill

SIZES = (100_000, 1_000_000, 10_000_000)
MESSAGES = 90_000


def backlog(rounds: int) -> Result:
    """Send as many messages from the front of each, in turn; only the smallest is filled anew each time."""
    smallest, *_, largest = SIZES
    with kafka.mock() as cluster, ExitStack() as stack:
        topic = cluster.topic()
        names = {size: stack.enter_context(_database(size)) for size in SIZES}
        for size in SIZES[1:]:
            fill.fill(topic, size, name=names[size])
        for name in names.values():
            database.settle(name)  # all of them now, or autovacuum does it while the clock runs

        def run(size: int) -> drain.Run:
            if size == smallest:
                database.empty(names[size])
                fill.fill(topic, size, name=names[size])
            database.settle(names[size])
            return drain.window(OURS, cluster, names[size], MESSAGES)

        taken = in_turns(rounds, [partial(run, size) for size in SIZES])
    found = dict(zip(SIZES, taken, strict=True))
    rates = {size: [run.rate for run in runs] for size, runs in found.items()}
    memory = {size: [run.memory for run in runs] for size, runs in found.items()}
    figures = [_rate(size, rates[size], rates[smallest]) for size in SIZES[1:]]
    note = f"the most it ever had; {median(memory[smallest]):,.0f} MB with the smallest"
    most = Comparison(
        name=f"resident memory, backlog of {largest:,}", unit="MB", ours=memory[largest], goal="below 150 MB", note=note
    )
    series = [{"size": size, "rates": rates[size], "memory": memory[size]} for size in SIZES]
    return Result(figures=[*figures, most], series={"backlog": series})


def _rate(size: int, ours: list[float], smallest: list[float]) -> Comparison:
    against = f"backlog of {SIZES[0]:,}"
    return Comparison(
        name=f"backlog of {size:,}", unit="msg/s", ours=ours, other=smallest, against=against, goal="0.9 x"
    )


@contextmanager
def _database(size: int) -> Iterator[str]:
    name = f"{database.NAME}_{size}"
    database.create(name)
    try:
        yield name
    finally:
        database.drop(name)
