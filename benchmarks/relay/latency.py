"""From the commit of a message to the broker's answer, where the relay has nothing else to do."""

import random
import time
from functools import partial
from statistics import median, quantiles
from typing import Any

from django.db import transaction
from django.test import override_settings

from benchmarks import database, kafka
from benchmarks.bodies import body
from benchmarks.kafka import Cluster
from benchmarks.measure import Comparison, Result, in_turns
from benchmarks.processes import NOTIFIED, OURS, Side, running
from benchmarks.relay import drain
from django_dlq import outbox
from django_dlq.conf import Settings

MESSAGES = 200
WARM_UP = 20
SHORTEST, LONGEST = 0.02, 0.12
# A relay that cannot be woken is only asked once.
SIDES = (OURS, NOTIFIED) if hasattr(Settings, "DLQ_RELAY_NOTIFY") else (OURS,)
GOALS = {OURS.name: ("8 ms", "25 ms"), NOTIFIED.name: ("4 ms", "12 ms")}
# The relay writes it into the history with the server's clock as soon as the broker has answered.
CONFIRMED = "SELECT message_id, extract(epoch FROM published_at)::float8 FROM django_dlq_publishedmessage"


def latency(rounds: int) -> Result:
    """Publish one message at a time, each after a pause of any length, with NOTIFY and without it in turn."""
    figures: list[Comparison] = []
    curves: list[dict[str, Any]] = []
    for cluster in kafka.each():
        taken = in_turns(rounds, [partial(_turn, side, cluster) for side in SIDES])
        for side, turns in zip(SIDES, taken, strict=True):
            figures += _figures(side, cluster, turns)
            everything = [value for turn in turns for value in turn]
            curves.append({"side": side.name, "kafka": cluster.name, "percentiles": quantiles(everything, n=200)})
    return Result(figures=figures, series={"latency": curves})


def _figures(side: Side, cluster: Cluster, turns: list[list[float]]) -> list[Comparison]:
    how = "with NOTIFY" if side is NOTIFIED else "polling only"
    goals = GOALS[side.name]
    note = f"{MESSAGES} messages a round, {SHORTEST * 1000:.0f} to {LONGEST * 1000:.0f} ms apart"
    return [
        Comparison(
            name=f"commit to confirmed, {how}, {cluster.name} Kafka, {name}",
            unit="ms",
            ours=values,
            goal=goal,
            note=note,
        )
        for name, values, goal in (
            ("p50", [median(turn) for turn in turns], goals[0]),
            ("p99", [quantiles(turn, n=100)[98] for turn in turns], goals[1]),
        )
    ]


def _turn(side: Side, cluster: Cluster) -> list[float]:
    database.empty()
    database.settle()
    topic = cluster.topic()
    with (
        override_settings(DLQ_RELAY_NOTIFY=side is NOTIFIED),
        database.by_hand() as observer,
        running(side, cluster.bootstrap, database.NAME) as relay,
    ):
        for _ in range(WARM_UP):
            _publish(topic)
        drain.wait(relay, lambda: drain.is_empty(observer))
        committed = {}
        for _ in range(MESSAGES):
            time.sleep(random.uniform(SHORTEST, LONGEST))
            message_id, moment = _publish(topic)
            committed[message_id] = moment
        drain.wait(relay, lambda: drain.is_empty(observer))
        confirmed = dict(observer.execute(CONFIRMED).fetchall())
    return [(confirmed[message_id] - moment) * 1000 for message_id, moment in committed.items()]


def _publish(topic: str) -> tuple[str, float]:
    """Publish one message; return its id, and when it was committed, before anybody is called."""
    moments: list[float] = []
    with transaction.atomic():
        # What is to happen after a commit happens in the order in which it was asked for: this before the NOTIFY, which
        # takes a journey to the server. The server's clock is this machine's, for it runs here.
        transaction.on_commit(lambda: moments.append(time.time()))
        message_id = outbox.publish(topic, body(1), key=str(random.random())).message_id
    return message_id, moments[0]
