"""Eight threads on one partition, with a handler that waits for something else."""

import time
from functools import partial

from benchmarks import kafka
from benchmarks.consumer import topic
from benchmarks.consumer.single import handle
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, in_turns
from django_dlq.message import ReceivedMessage

MESSAGES = 700
"""For each thread: the first second's are not counted."""

KEYS = 20
WAIT = 0.005


def threads(rounds: int) -> Result:
    """Measure one thread and eight in turn, each with a topic of its own."""
    return Result(figures=[_measure(cluster, rounds) for cluster in kafka.each()])


def _measure(cluster: Cluster, rounds: int) -> Comparison:
    eight, one = in_turns(rounds, [partial(_rate, cluster, concurrency) for concurrency in (8, 1)])
    name = f"eight threads, {cluster.name} Kafka"
    note = f"{KEYS} keys, one partition; each handler waits {WAIT * 1000:.0f} ms and inserts"
    return Comparison(name=name, unit="msg/s", ours=eight, other=one, against="one thread", goal="6 x", note=note)


def _wait_and_handle(message: ReceivedMessage) -> None:
    time.sleep(WAIT)
    handle(message)


def _rate(cluster: Cluster, concurrency: int) -> float:
    messages = MESSAGES * concurrency
    name = topic.filled(cluster, messages, keys=KEYS, partition=0)
    with topic.ours(name, _wait_and_handle, concurrency=concurrency) as run_once:
        warm = done = topic.until_first(run_once)
        started = time.perf_counter()
        while done < messages:
            done += run_once()
        return (done - warm) / (time.perf_counter() - started)
