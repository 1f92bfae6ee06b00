"""Five minutes at a fixed rate: does a backlog grow, how late are messages, and what has PostgreSQL to clean up?"""

import itertools
import time
from statistics import linear_regression
from typing import Any

from django.db import transaction

from benchmarks import database, kafka
from benchmarks.bodies import body
from benchmarks.measure import Comparison, Result
from benchmarks.processes import OURS, Running, running
from benchmarks.raw import Connection
from benchmarks.relay import drain
from django_dlq import outbox

RATE = 2_000
MINUTES = 5
TICKS = 50
"""Transactions per second, each with its share of the messages."""

WAITING = "SELECT count(*) FROM django_dlq_outboxmessage"
FORGET = "TRUNCATE django_dlq_publishedmessage"
DEAD = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'django_dlq_outboxmessage'"
# From the INSERT, which is a little before the commit.
LATE = """
    WITH late AS (
        SELECT extract(epoch FROM created_at - (SELECT min(created_at) FROM django_dlq_publishedmessage)) AS moment,
               extract(epoch FROM published_at - created_at) * 1000 AS milliseconds
        FROM django_dlq_publishedmessage)
    SELECT floor(moment / 5)::int * 5, percentile_cont(0.5) WITHIN GROUP (ORDER BY milliseconds)::float8,
           percentile_cont(0.99) WITHIN GROUP (ORDER BY milliseconds)::float8
    FROM late GROUP BY 1 ORDER BY 1"""
ALL = """
    SELECT percentile_cont(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (
        ORDER BY extract(epoch FROM published_at - created_at)::float8 * 1000)
    FROM django_dlq_publishedmessage"""


def sustained(_rounds: int) -> Result:
    """Run once, whatever the number of rounds."""
    database.empty()
    database.settle()
    with (
        kafka.mock() as cluster,
        database.by_hand() as observer,
        running(OURS, cluster.bootstrap, database.NAME) as relay,
    ):
        topic = cluster.topic()
        _publish(topic, 1)
        drain.wait(relay, lambda: drain.is_empty(observer))
        observer.execute(FORGET)  # that message, which waited for the relay to start
        samples, published = _offer(topic, observer, relay)
        drain.wait(relay, lambda: drain.is_empty(observer))
        late = observer.execute(LATE).fetchall()
        (percentiles,) = observer.execute(ALL).fetchall()[0]
        offered = published / samples[-1]["second"]
    return Result(
        rounds=1,
        figures=_figures(samples, percentiles, offered),
        series={"sustained": {"samples": samples, "late": late, "offered": round(offered)}},
    )


def _offer(topic: str, observer: Connection, relay: Running) -> tuple[list[dict[str, float]], int]:
    """Publish tick by tick, and look every second."""
    samples: list[dict[str, float]] = []
    published, began = 0, time.monotonic()
    for tick in itertools.count(1):
        published += _publish(topic, RATE // TICKS)
        passed = time.monotonic() - began
        if passed >= len(samples) + 1:
            relay.expect_alive()
            samples.append({"second": passed, "memory": relay.memory(), **_look(observer)})
        if passed >= MINUTES * 60:
            return samples, published
        # What took too long is made up for, so that the rate is what it is said to be.
        time.sleep(max(0.0, began + tick / TICKS - time.monotonic()))
    raise AssertionError("count() has no end")


def _look(observer: Connection) -> dict[str, float]:
    return {name: _number(observer, query) for name, query in (("waiting", WAITING), ("dead", DEAD))}


def _number(observer: Connection, query: str) -> float:
    row = observer.execute(query).fetchone()
    assert row is not None
    return float(row[0])


def _publish(topic: str, count: int) -> int:
    with transaction.atomic():
        outbox.publish_many(outbox.Message(topic, body(n), key=str(time.monotonic_ns())) for n in range(count))
    return count


def _figures(samples: list[dict[str, float]], percentiles: list[float], offered: float) -> list[Comparison]:
    def column(name: str) -> list[Any]:
        return [sample[name] for sample in samples]

    name = f"{offered:,.0f} msg/s for {MINUTES} minutes"
    slope = linear_regression(column("second"), column("waiting")).slope
    middle, late, latest = percentiles
    figures = [
        ("backlog slope", "msg/s", [slope], "the line through the backlog, second by second"),
        ("backlog", "messages", column("waiting"), ""),
        ("INSERT to confirmed, p50", "ms", [middle], ""),
        ("INSERT to confirmed, p99", "ms", [late], f"the latest {latest:,.0f} ms"),
        ("dead tuples in the outbox", "rows", column("dead"), "PostgreSQL's own count, second by second"),
        ("resident memory", "MB", [samples[-1]["memory"]], "the most it ever had"),
    ]
    return [
        Comparison(name=f"{name}: {what}", unit=unit, ours=values, note=note) for what, unit, values, note in figures
    ]
