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
    return Result(figures=[_measure(cluster, rounds) for cluster in kafka.each()])


def _measure(cluster: Cluster, rounds: int) -> Comparison:
    skipped, handled = zip(*[_round(cluster) for _ in range(rounds)], strict=True)
    name, note = f"duplicates, {cluster.name} Kafka", "messages that were handled before, in the same round"
    return Comparison(name=name, unit="msg/s", ours=skipped, other=handled, against="handling", goal="1.5 x", note=note)


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
