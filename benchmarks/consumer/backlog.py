"""A topic that has grown: a million messages wait, and one consumer process catches up."""

import time

from benchmarks import database, kafka
from benchmarks.consumer import topic
from benchmarks.consumer.batches import BATCH
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result
from benchmarks.processes import Running, Side, running
from benchmarks.raw import Connection

MESSAGES = 1_000_000
LOOK_EVERY = 0.1
PATIENCE = 1800.0


def backlog(rounds: int) -> Result:
    """Drain it once, however many rounds, and look at the process's memory after a quarter and at the end."""
    if kafka.real_address() is None:
        raise RuntimeError("the mock cluster forgets what a topic has above some megabytes; start the real Kafka")
    with kafka.real() as cluster:
        rate, quarter, end = _drain(cluster)
    note = f"batches of {BATCH}, one process, one thread; from its start, with joining the group"
    return Result(
        rounds=1,
        figures=[
            Comparison(name=f"backlog of {MESSAGES:,} messages", unit="msg/s", ours=[rate], note=note),
            Comparison(
                name="resident memory at most, until the end",
                unit="MB",
                ours=[end],
                other=[quarter],
                against="until a quarter",
                goal="1.1 x",
            ),
        ],
    )


def _drain(cluster: Cluster) -> tuple[float, float, float]:
    name = topic.filled(cluster, MESSAGES)
    side = Side("consumer", ("-m", "benchmarks.consumer.draining", name))
    with database.by_hand() as hand, running(side, cluster.bootstrap, database.NAME) as process:
        began = time.monotonic()
        _until(hand, process, MESSAGES // 4)
        quarter = process.memory()
        _until(hand, process, MESSAGES)
        rate = MESSAGES / (time.monotonic() - began)
        return rate, quarter, process.memory()


def _orders(hand: Connection) -> int:
    """Count the orders along their ids, which takes no time however many they are."""
    row = hand.execute("SELECT coalesce(max(id) - min(id) + 1, 0) FROM benchmarks_order").fetchone()
    assert row is not None
    return int(row[0])


def _until(hand: Connection, process: Running, handled: int) -> None:
    """Wait until so many orders are there: no batch fails, so that their ids have no gaps."""
    deadline = time.monotonic() + PATIENCE
    while _orders(hand) < handled:
        process.expect_alive()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{handled:,} messages were not handled within {PATIENCE:.0f} seconds")
        time.sleep(LOOK_EVERY)
