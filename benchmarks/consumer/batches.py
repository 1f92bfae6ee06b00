"""How fast one consumer process handles batches of five hundred, one transaction each."""

from django.db import connection

from benchmarks import kafka, raw
from benchmarks.consumer import topic
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, rates_in_turns
from django_dlq.message import ReceivedMessage

MESSAGES = 30_000
BATCH = 500


def batches(rounds: int) -> Result:
    """Let the consumer and the loop by hand take turns, poll by poll, with the messages of one topic."""
    return Result(figures=[_measure(cluster, rounds) for cluster in kafka.each()])


def handle(messages: list[ReceivedMessage]) -> None:
    """Insert their orders with one statement."""
    with connection.cursor() as cursor:
        cursor.execute(raw.ORDERS, ([message.json()["order"] for message in messages],))


def _measure(cluster: Cluster, rounds: int) -> Comparison:
    ours, by_hand = zip(*[_round(cluster) for _ in range(rounds)], strict=True)
    name, note = f"batches of {BATCH}, {cluster.name} Kafka", "one INSERT per batch"
    goal = "0.7 x, 15,000 msg/s" if cluster.name == "mock" else "0.7 x"
    return Comparison(name=name, unit="msg/s", ours=ours, other=by_hand, goal=goal, note=note)


def _round(cluster: Cluster) -> list[float]:
    name = topic.filled(cluster, MESSAGES)
    raw_loop = topic.by_hand(cluster, name, raw.consume_batch, limit=BATCH)
    with topic.ours(name, handle, batch_size=BATCH) as ours, raw_loop as by_hand:
        warm = [topic.until_first(act) for act in (ours, by_hand)]
        return rates_in_turns([ours, by_hand], MESSAGES - max(warm))
