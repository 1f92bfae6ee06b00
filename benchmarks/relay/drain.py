"""Let one process empty an outbox that is full, and look on from outside."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from benchmarks import database
from benchmarks.kafka import Cluster
from benchmarks.processes import Running, Side, running
from benchmarks.raw import Connection
from benchmarks.relay import fill

MESSAGES = 50_000
WARM_UP = 5_000
PATIENCE = 300.0
GLANCE = 0.005

NTH = "SELECT id FROM django_dlq_outboxmessage ORDER BY id OFFSET %s LIMIT 1"
LAST = "SELECT max(id) FROM django_dlq_outboxmessage"
IS_THERE = "SELECT EXISTS (SELECT FROM django_dlq_outboxmessage WHERE id = %s)"
IS_ANY_THERE = "SELECT EXISTS (SELECT FROM django_dlq_outboxmessage)"


class TooSlow(RuntimeError):
    """What is measured did not come to its end."""


class WrongCount(RuntimeError):
    """The broker has fewer messages than left the outbox."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run came to."""

    rate: float
    memory: float


def emptied(side: Side, cluster: Cluster, *, key: fill.Key = fill.distinct, messages: int = MESSAGES) -> Run:
    """Fill the outbox, and measure from its first WARM_UP messages to its last."""
    topic = cluster.topic()
    database.empty()
    fill.fill(topic, WARM_UP + messages, key=key)
    database.settle()
    run = window(side, cluster, database.NAME, messages, to_the_end=True)
    if (found := cluster.count(topic)) < WARM_UP + messages:
        raise WrongCount(f"{side.name}: {found:,} of {WARM_UP + messages:,} messages are in the topic")
    return run


def window(
    side: Side,
    cluster: Cluster,
    name: str,
    messages: int,
    *,
    to_the_end: bool = False,
    meanwhile: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Run:
    """Measure a process on its way through the next so many messages, after those that it warms up with.

    A row that is gone was confirmed. One row stands for those before it: both sides send in the order of ids, and are
    at most a few batches off it.
    """
    with database.by_hand(name) as observer:
        first, last = (_one(observer, NTH, WARM_UP + count - 1) for count in (0, messages))
        with meanwhile(), running(side, cluster.bootstrap, name) as process:
            wait(process, lambda: not _one(observer, IS_THERE, first))
            began = time.perf_counter()
            wait(process, lambda: not _one(observer, IS_THERE, last))
            if to_the_end:
                wait(process, lambda: not _one(observer, IS_ANY_THERE))
            return Run(messages / (time.perf_counter() - began), process.memory())


def wait(process: Running, done: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Look again and again, not too often, until it is done; raise TooSlow if that takes too long."""
    until = time.monotonic() + patience
    while not done():
        process.expect_alive()
        if time.monotonic() > until:
            raise TooSlow(f"not done after {patience:.0f} seconds")
        time.sleep(GLANCE)


def last(observer: Connection) -> int:
    """Return the id of the last row that there is."""
    return _one(observer, LAST)


def are_gone(observer: Connection, last: int) -> bool:
    """Tell whether all up to this row has been sent; to look for any row takes long behind many that are gone."""
    return not _one(observer, IS_THERE, last) and is_empty(observer)


def is_empty(observer: Connection) -> bool:
    """Tell whether everything has been sent."""
    return not _one(observer, IS_ANY_THERE)


def _one(observer: Connection, query: str, *parameters: object) -> int:
    row = observer.execute(query, parameters or None).fetchone()
    assert row is not None
    return row[0]  # type: ignore[no-any-return]
