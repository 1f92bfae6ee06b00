"""Outboxes that have grown: ten million messages wait, and the next ones are to go as fast as ever."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median

from benchmarks import database, kafka
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, in_turns
from benchmarks.processes import BARE, OURS, Side
from benchmarks.relay import drain, fill

SIZES = (100_000, 1_000_000, 10_000_000)
MESSAGES = 90_000


def backlog(rounds: int) -> Result:
    """Send as many messages from the front of each, in turn; only the smallest is filled anew each time.

    The size in the middle is for the picture, and so only the default side and the mock cluster send it.
    """
    smallest, *_, largest = SIZES
    with ExitStack() as stack:
        mock = stack.enter_context(kafka.mock())
        topic = mock.topic()
        ways = [(OURS, mock, size) for size in SIZES] + [(BARE, mock, size) for size in (smallest, largest)]
        if kafka.real_address():
            real = stack.enter_context(kafka.real())
            real.topic(topic)
            ways += [(OURS, real, size) for size in (smallest, largest)]
        names = {size: stack.enter_context(_database(size)) for size in SIZES}
        for size in SIZES[1:]:
            fill.fill(topic, size, name=names[size])
        for name in names.values():
            database.settle(name)  # all of them now, or autovacuum does it while the clock runs

        def run(side: Side, cluster: Cluster, size: int) -> drain.Run:
            if size == smallest:
                database.empty(names[size])
                fill.fill(topic, size, name=names[size])
            database.settle(names[size])
            return drain.window(side, cluster, names[size], MESSAGES)

        taken = in_turns(rounds, [partial(run, *way) for way in ways])
    found = {(side.name, cluster.name, size): runs for (side, cluster, size), runs in zip(ways, taken, strict=True)}
    rates = {way: [run.rate for run in runs] for way, runs in found.items()}
    memory = {size: [run.memory for run in found[OURS.name, "mock", size]] for size in SIZES}
    figures = [
        Comparison(
            name=f"backlog of {size:,}, {cluster} Kafka{'' if side == OURS.name else f', {side}'}",
            unit="msg/s",
            ours=ours,
            other=rates[side, cluster, smallest],
            against=f"backlog of {smallest:,}",
            goal="0.9 x",
        )
        for (side, cluster, size), ours in rates.items()
        if size != smallest
    ]
    note = f"the most it ever had; {median(memory[smallest]):,.0f} MB with the smallest"
    most = Comparison(
        name=f"resident memory, backlog of {largest:,}", unit="MB", ours=memory[largest], goal="below 150 MB", note=note
    )
    series = [{"size": size, "rates": rates[OURS.name, "mock", size], "memory": memory[size]} for size in SIZES]
    return Result(figures=[*figures, most], series={"backlog": series})


@contextmanager
def _database(size: int) -> Iterator[str]:
    name = f"{database.NAME}_{size}"
    database.create(name)
    try:
        yield name
    finally:
        database.drop(name)
