"""What handlers depend on goes down under a long backlog, and comes back."""

import random
import time
from collections.abc import Callable, Iterator

from benchmarks import kafka
from benchmarks.consumer import topic
from benchmarks.consumer.single import handle
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result
from django_dlq import inbox
from django_dlq.message import ReceivedMessage
from django_dlq.models import Circuit, DeadLetter, DeadLetterEvent, Dependency
from django_dlq.probes import probes

MESSAGES = 100_000
BEFORE = 500
"""Messages that are handled before it goes down."""

NAME = "logistics"
SECONDS = 8.0
CONCURRENCY = 8
PATIENCE = 60.0


class Service:
    """Something that refuses connections while it is down."""

    is_up = True

    def call(self) -> None:
        """Call it."""
        if not self.is_up:
            raise ConnectionRefusedError("it is down")

    def handle(self, message: ReceivedMessage) -> None:
        """Handle a message, which takes a call."""
        self.call()
        handle(message)


def outage(rounds: int) -> Result:
    """Count what an outage leaves behind, and time from the recovery to the first message that is handled again."""
    return Result(figures=[figure for cluster in kafka.each() for figure in _measure(cluster, rounds)])


def _measure(cluster: Cluster, rounds: int) -> Iterator[Comparison]:
    rows, resumed = zip(*[_round(cluster) for _ in range(rounds)], strict=True)
    note = f"{CONCURRENCY} threads; down for {SECONDS:.0f} to {SECONDS + 2:.0f} s"
    name = f"a dependency down under {MESSAGES:,} messages, {cluster.name} Kafka"
    yield Comparison(name=f"{name}: dead letters and retries", unit="rows", ours=rows, goal="under 50", note=note)
    yield Comparison(name=f"{name}: handling again after", unit="s", ours=resumed, goal="5 s", note=note)


def _round(cluster: Cluster) -> tuple[float, float]:
    service = Service()
    for model in (DeadLetterEvent, DeadLetter, Dependency):
        model.objects.all().delete()
    probes.probes = {}
    inbox.probe(NAME)(service.call)
    name = topic.filled(cluster, MESSAGES)
    with topic.ours(name, service.handle, concurrency=CONCURRENCY, depends_on=NAME) as run_once:
        done = 0
        while done < BEFORE:
            done += run_once()
        service.is_up = False
        _run(run_once, until=lambda: Dependency.objects.filter(state=Circuit.OPEN).exists())
        # When in the interval between two probes it comes back is left to chance.
        over = time.monotonic() + SECONDS + random.uniform(0, 2)
        _run(run_once, until=lambda: time.monotonic() > over)
        rows = DeadLetter.objects.count()
        service.is_up, recovered = True, time.monotonic()
        while not run_once():
            if time.monotonic() - recovered > PATIENCE:
                raise RuntimeError("it was not handled again")
        # A round of the consumer takes up to a second, so this may be a second too much.
        return float(rows), time.monotonic() - recovered


def _run(run_once: Callable[[], int], *, until: Callable[[], bool]) -> None:
    while not until():
        run_once()
