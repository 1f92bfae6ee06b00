"""A broker that is five milliseconds away."""

from functools import partial

from benchmarks import kafka
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, in_turns
from benchmarks.processes import OURS, RAW, Side
from benchmarks.relay import drain

MILLISECONDS = 5


def slow_broker(rounds: int) -> Result:
    """Compare each side with itself, with and without the distance."""
    with kafka.mock() as cluster:
        acts = [partial(rate, cluster, side, delay) for side in (OURS, RAW) for delay in (0, MILLISECONDS)]
        near, far, raw_near, raw_far = in_turns(rounds, acts)
    name, against = f"{MILLISECONDS} ms to the broker", "at 0 ms"
    return Result(
        figures=[
            Comparison(name=name, unit="msg/s", ours=far, other=near, against=against, goal="0.6 x"),
            Comparison(name=f"{name}, beside the raw loop", unit="msg/s", ours=far, other=raw_far),
            Comparison(
                name=f"{name}, the raw loop itself", unit="msg/s", ours=raw_far, other=raw_near, against=against
            ),
        ]
    )


def rate(cluster: Cluster, side: Side, milliseconds: int) -> float:
    """Measure one side at a distance."""
    assert cluster.delay is not None
    cluster.delay(milliseconds)
    try:
        return drain.emptied(side, cluster).rate
    finally:
        cluster.delay(0)
