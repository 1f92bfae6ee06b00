"""How fast one consumer process handles messages, one transaction each, in one thread."""

from django.db import connection

from benchmarks import kafka, raw
from benchmarks.consumer import topic
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, rates_in_turns
from django_dlq.message import ReceivedMessage

MESSAGES = 2_000


def single(rounds: int) -> Result:
    """Let the consumer and the loop by hand take turns, poll by poll, with the messages of one topic."""
    return Result(figures=[_measure(cluster, rounds) for cluster in kafka.each()])


def handle(message: ReceivedMessage) -> None:
    """Insert an order, with the same statement as by hand: what the ORM takes in a handler is not the consumer's."""
    with connection.cursor() as cursor:
        cursor.execute(raw.ORDER, (message.json()["order"],))


def _measure(cluster: Cluster, rounds: int) -> Comparison:
    ours, by_hand = zip(*[_round(cluster) for _ in range(rounds)], strict=True)
    name, note = f"single messages, {cluster.name} Kafka", "one INSERT per handler"
    return Comparison(name=name, unit="msg/s", ours=ours, other=by_hand, goal="0.8 x", note=note)


def _round(cluster: Cluster) -> list[float]:
    name = topic.filled(cluster, MESSAGES)
    with topic.ours(name, handle) as ours, topic.by_hand(cluster, name, raw.consume) as by_hand:
        warm = [topic.until_first(act) for act in (ours, by_hand)]
        return rates_in_turns([ours, by_hand], MESSAGES - max(warm))
