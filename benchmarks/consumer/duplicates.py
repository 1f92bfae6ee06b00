"""How fast duplicates are skipped, beside handling."""

import time

from benchmarks import kafka
from benchmarks.consumer import topic
from benchmarks.consumer.single import handle
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result

MESSAGES = 1_000


def duplicates(rounds: int) -> Result:
    """Send all messages once, and then all of them a second time."""
    with kafka.mock() as cluster:
        measured = [_round(cluster) for _ in range(rounds)]
    skipped, handled = zip(*measured, strict=True)
    note = "messages that were handled before"
    figure = Comparison(
        name="duplicates", unit="msg/s", ours=skipped, other=handled, against="handling", goal="1.5 x", note=note
    )
    return Result(figures=[figure])


def _round(cluster: Cluster) -> tuple[float, float]:
    name = topic.filled(cluster, MESSAGES, repeats=2, partition=0)
    rates = []
    with topic.ours(name, handle) as run_once:
        warm = done = topic.until_first(run_once)
        for end in (MESSAGES, 2 * MESSAGES):
            begin, started = done, time.perf_counter()
            while done < end:
                done += run_once()
            rates.append((done - begin) / (time.perf_counter() - started))
    assert warm < MESSAGES
    return rates[1], rates[0]
