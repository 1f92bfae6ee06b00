"""A full outbox of messages with a key each, and one of messages that share a key."""

from functools import partial

from benchmarks import kafka
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, in_turns
from benchmarks.processes import BARE, OURS, RAW, Side
from benchmarks.relay import drain, fill, statements

# Two seconds rather than half of one: in a window of 50,000 the first and the last batches, which nothing can
# overlap with, are a tenth of it, and they weigh on whoever overlaps the most.
MESSAGES = 200_000


def distinct(rounds: int) -> Result:
    """Let the relay with history, the relay without, and the loop by hand take turns."""
    figures = [figure for cluster in kafka.each() for figure in _measure(cluster, rounds, fill.distinct, "1.0 x")]
    return Result(figures=figures, series={"statements": statements.count()})


def hot_key(rounds: int) -> Result:
    """Do the same where all messages have one key, and so one order and one partition."""
    figures = [figure for cluster in kafka.each() for figure in _measure(cluster, rounds, fill.hot, "0.7 x")]
    return Result(figures=figures)


def _measure(cluster: Cluster, rounds: int, key: fill.Key, goal: str) -> list[Comparison]:
    def rate(side: Side) -> float:
        return drain.emptied(side, cluster, key=key, messages=MESSAGES).rate

    kept, deleted, by_hand = in_turns(rounds, [partial(rate, side) for side in (OURS, BARE, RAW)])
    keys = "one hot key" if key is fill.hot else "distinct keys"
    return [
        Comparison(
            name=f"{keys}, {cluster.name} Kafka", unit="msg/s", ours=kept, other=by_hand, goal=goal, note="the default"
        ),
        Comparison(
            name=f"{keys}, {cluster.name} Kafka, no history",
            unit="msg/s",
            ours=deleted,
            other=by_hand,
            goal=goal,
            note="DLQ_PUBLISHED_RETENTION = 0",
        ),
    ]
