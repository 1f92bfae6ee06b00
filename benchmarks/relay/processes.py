"""Two and four relays that share the lanes, and lanes that move while messages are sent."""

import time
from contextlib import ExitStack
from functools import partial

from benchmarks import database, kafka
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, in_turns
from benchmarks.processes import BARE, OURS, Running, Side, running
from benchmarks.raw import Connection
from benchmarks.relay import drain, fill
from django_dlq.message import LANES

PROCESSES = 4
# In a window of 100,000 each of four has six full batches, and the first and the last overlap with nothing.
MESSAGES = 200_000
SHARES = "SELECT count(*) FROM django_dlq_relaylane WHERE leased_until > now() GROUP BY owner"
LEFT = "SELECT count(*) FROM django_dlq_outboxmessage"


def processes(rounds: int) -> Result:
    """Compare two and four with one; then let some come and one go on the way."""
    return Result(figures=[figure for cluster in kafka.each() for figure in _measure(cluster, rounds)])


def _measure(cluster: Cluster, rounds: int) -> list[Comparison]:
    sides = [(side, count) for side in (OURS, BARE) for count in (1, 2, PROCESSES)]
    taken = in_turns(rounds, [partial(_rate, cluster, *side) for side in sides])
    one, two, four, bare_one, bare_two, bare_four = taken
    moved = [_sent_twice(cluster) for _ in range(rounds)]
    rate = f"relay processes, {cluster.name} Kafka"
    twice = f"sent twice while lanes move, {cluster.name} Kafka"
    note = f"of {MESSAGES:,}, while 2 relays become {PROCESSES} and 1 of them leaves"
    return [
        _comparison(f"2 {rate}", two, one),
        _comparison(f"{PROCESSES} {rate}", four, one, goal="1.0 x"),
        _comparison(f"2 {rate}, no history", bare_two, bare_one),
        _comparison(f"{PROCESSES} {rate}, no history", bare_four, bare_one, goal="1.0 x"),
        Comparison(name=twice, unit="messages", ours=moved, goal="0", note=note),
    ]


def _comparison(name: str, ours: list[float], other: list[float], *, goal: str = "") -> Comparison:
    note = "nothing was sent twice"
    return Comparison(name=name, unit="msg/s", ours=ours, other=other, against="1 process", goal=goal, note=note)


def _rate(cluster: Cluster, side: Side, count: int) -> float:
    """Fill the outbox at once, in front of relays that are ready."""
    topic = cluster.topic()
    database.empty()
    with database.by_hand() as observer, ExitStack() as stack:
        relays = [stack.enter_context(running(side, cluster.bootstrap, database.NAME)) for _ in range(count)]
        _share(observer, relays)
        fill.fill(topic, drain.WARM_UP)
        drain.wait(relays[0], lambda: drain.is_empty(observer))
        fill.fill(topic, MESSAGES)
        began, last = time.perf_counter(), drain.last(observer)
        drain.wait(relays[0], lambda: drain.are_gone(observer, last))
        taken = time.perf_counter() - began
    if more := cluster.count(topic) - MESSAGES - drain.WARM_UP:
        raise drain.WrongCount(f"{more:+,} messages in the topic, of {MESSAGES:,}")
    return MESSAGES / taken


def _sent_twice(cluster: Cluster) -> float:
    """Return how many messages more are in the topic than were written."""
    topic = cluster.topic()
    database.empty()
    with database.by_hand() as observer, ExitStack() as stack:
        relays = [stack.enter_context(running(OURS, cluster.bootstrap, database.NAME)) for _ in range(PROCESSES // 2)]
        _share(observer, relays)
        fill.fill(topic, MESSAGES)
        relays += [stack.enter_context(running(OURS, cluster.bootstrap, database.NAME)) for _ in range(PROCESSES // 2)]
        _wait_for(observer, relays, MESSAGES // 2)
        relays[-1].stop()
        drain.wait(relays[0], lambda: drain.is_empty(observer))
    return float(cluster.count(topic) - MESSAGES)


def _share(observer: Connection, relays: list[Running]) -> None:
    """Wait until all have their share of the lanes."""
    least = LANES // len(relays)

    def shared() -> bool:
        shares = [count for (count,) in observer.execute(SHARES).fetchall()]
        return len(shares) == len(relays) and min(shares) >= least

    drain.wait(relays[0], shared, patience=60)


def _wait_for(observer: Connection, relays: list[Running], left: int) -> None:
    def few() -> bool:
        row = observer.execute(LEFT).fetchone()
        return row is not None and row[0] <= left

    drain.wait(relays[0], few)
