"""A broker that is five milliseconds away."""

from collections.abc import Iterator
from functools import partial

from benchmarks import kafka
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, in_turns
from benchmarks.processes import BARE, OURS, RAW, Side
from benchmarks.relay import drain

MILLISECONDS = 5
SIDES = (OURS, BARE, RAW)


def slow_broker(rounds: int) -> Result:
    """Compare each side with itself, with and without the distance."""
    return Result(figures=[figure for cluster in kafka.each_delayable() for figure in _measure(cluster, rounds)])


def _measure(cluster: Cluster, rounds: int) -> Iterator[Comparison]:
    acts = [partial(rate, cluster, side, delay) for side in SIDES for delay in (0, MILLISECONDS)]
    near, far, bare_near, bare_far, raw_near, raw_far = in_turns(rounds, acts)
    name, against = f"{MILLISECONDS} ms to the broker, {cluster.name} Kafka", "at 0 ms"
    note = "" if cluster.name == "mock" else "both through a proxy"
    yield Comparison(name=name, unit="msg/s", ours=far, other=near, against=against, goal="0.6 x", note=note)
    bare = f"{name}, no history"
    yield Comparison(name=bare, unit="msg/s", ours=bare_far, other=bare_near, against=against, goal="0.6 x", note=note)
    yield Comparison(name=f"{name}, beside the raw loop", unit="msg/s", ours=far, other=raw_far, note=note)
    yield Comparison(
        name=f"{name}, the raw loop itself", unit="msg/s", ours=raw_far, other=raw_near, against=against, note=note
    )


def rate(cluster: Cluster, side: Side, milliseconds: int) -> float:
    """Measure one side at a distance."""
    assert cluster.delay is not None
    cluster.delay(milliseconds)
    try:
        return drain.emptied(side, cluster).rate
    finally:
        cluster.delay(0)
