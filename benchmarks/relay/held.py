"""Somebody else has a transaction open, so that PostgreSQL can remove nothing that is deleted meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import psycopg

from benchmarks import database, kafka
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, in_turns
from benchmarks.processes import BARE, OURS, RAW
from benchmarks.relay import drain, fill

NAME = f"{database.NAME}_held"
ROWS = 1_000_000
MESSAGES = 150_000


def held(rounds: int) -> Result:
    """Send with and without such a transaction, in turn, and never leave fewer than a million rows."""
    return Result(figures=[figure for cluster in kafka.each() for figure in _measure(cluster, rounds)])


def _measure(cluster: Cluster, rounds: int) -> Iterator[Comparison]:
    acts = [(side, meanwhile) for side in (OURS, BARE) for meanwhile in (nullcontext, open_transaction)]
    acts.append((RAW, open_transaction))
    database.create(NAME)
    try:

        def rate(place: int) -> float:
            side, meanwhile = acts[place]
            database.settle(NAME)
            return drain.window(side, cluster, NAME, MESSAGES, meanwhile=meanwhile).rate

        # A side may have sent a little more than was measured when it is stopped.
        fill.fill(cluster.topic(), ROWS + rounds * len(acts) * (MESSAGES + 4 * drain.WARM_UP), name=NAME)
        alone, beside, bare_alone, bare_beside, by_hand = in_turns(
            rounds, [partial(rate, place) for place in range(len(acts))]
        )
    finally:
        database.drop(NAME)
    name, against = f"a transaction held open, {ROWS:,} rows, {cluster.name} Kafka", "none held open"
    yield Comparison(name=name, unit="msg/s", ours=beside, other=alone, against=against, goal="0.9 x")
    yield Comparison(
        name=f"{name}, no history", unit="msg/s", ours=bare_beside, other=bare_alone, against=against, goal="0.9 x"
    )
    yield Comparison(name=f"{name}, beside the raw loop", unit="msg/s", ours=beside, other=by_hand)


@contextmanager
def open_transaction() -> Iterator[None]:
    """Hold a snapshot from now on, as a report or a forgotten session does."""
    with database.by_hand(NAME) as connection:
        connection.autocommit = False
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT pg_current_xact_id()")
        try:
            yield
        finally:
            connection.rollback()
