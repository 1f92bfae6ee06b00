"""How fast one consumer process handles messages, one transaction each, in one thread."""

from collections.abc import Iterable, Sequence
from unittest.mock import patch

import confluent_kafka
from django.db import connection, transaction

from benchmarks import kafka, raw
from benchmarks.consumer import topic
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, rates_in_turns
from django_dlq.message import ReceivedMessage

MESSAGES = 2_000
PREPARED = {"server_side_binding": True, "prepare_threshold": 5}
"""Django's OPTIONS for what psycopg does by itself where nobody asks it not to, as in the loop by hand."""


def single(rounds: int) -> Result:
    """Let the consumer and two loops by hand take turns, poll by poll, with the messages of one topic.

    One of them says its statements through psycopg, the other says the same ones through Django: as a handler does.
    """
    return Result(figures=[figure for cluster in kafka.each() for figure in _measure(cluster, rounds)])


def handle(message: ReceivedMessage) -> None:
    """Insert an order, with the same statement as by hand: what the ORM takes in a handler is not the consumer's."""
    with connection.cursor() as cursor:
        cursor.execute(raw.ORDER, (message.json()["order"],))


def consume_through_django(_: raw.Connection, consumer: confluent_kafka.Consumer, group: str, limit: int) -> int:
    """Do what `raw.consume` does with Django's connection, as it is configured by default."""
    messages = raw.poll(consumer, limit)
    for message in messages:
        message_id = raw.message_id_of(message)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(raw.CLAIM, (group, message_id, message_id, message.topic()))
            if cursor.rowcount:
                cursor.execute(raw.ORDER, (raw.order_of(message),))
    if messages:
        consumer.commit(asynchronous=False)
    return len(messages)


def _measure(cluster: Cluster, rounds: int) -> list[Comparison]:
    usual, repeated = zip(*[(_round(cluster), _prepared_round(cluster)) for _ in range(rounds)], strict=True)
    where = f"{cluster.name} Kafka"
    return [*_figures(usual, where), *_figures(repeated, f"prepared statements, {where}")]


def _figures(rounds: Iterable[Sequence[float]], where: str) -> list[Comparison]:
    ours, by_hand, through_django = zip(*rounds, strict=True)
    name, note = f"single messages, {where}", "one INSERT per handler"
    floor = f"the same four statements through Django, by hand, {where}"
    return [
        Comparison(name=name, unit="msg/s", ours=ours, other=by_hand, goal="0.8 x", note=note),
        Comparison(name=floor, unit="msg/s", ours=through_django, other=by_hand, note="nothing of django_dlq"),
    ]


def _prepared_round(cluster: Cluster) -> list[float]:
    """Measure with a connection of Django's that prepares statements."""
    connection.close()
    with patch.dict(connection.settings_dict, OPTIONS=PREPARED):
        try:
            return _round(cluster)
        finally:
            connection.close()


def _round(cluster: Cluster) -> list[float]:
    name = topic.filled(cluster, MESSAGES)
    raw_loop = topic.by_hand(cluster, name, raw.consume)
    django_loop = topic.by_hand(cluster, name, consume_through_django)
    with topic.ours(name, handle) as ours, raw_loop as by_hand, django_loop as through_django:
        loops = [ours, by_hand, through_django]
        warm = [topic.until_first(loop) for loop in loops]
        return rates_in_turns(loops, MESSAGES - max(warm))
