"""All other settings: each by itself, then those that depend on each other."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage, Error, register

from django_dlq import debezium
from django_dlq.brokers.kafka_options import has_servers
from django_dlq.checks.rules import RULES
from django_dlq.conf import conf


@register("django_dlq")
def check_settings(**_: Any) -> list[CheckMessage]:
    """Check every other setting by itself, then those that depend on each other."""
    found: list[CheckMessage] = []
    for number, name, holds, wanted in RULES:
        if not holds(value := getattr(conf, name)):
            found.append(Error(f"{name} is {value!r}.", hint=f"It must be {wanted}.", id=f"django_dlq.{number}"))
    return found or list(_check_together())


def _check_together() -> Iterator[CheckMessage]:
    if conf.DLQ_PUBLISH_TIMEOUT >= conf.DLQ_RELAY_LEASE:
        yield Error(
            "DLQ_PUBLISH_TIMEOUT is not shorter than DLQ_RELAY_LEASE.",
            hint="A relay must know what became of a batch before another relay may take over.",
            id="django_dlq.E040",
        )
    if conf.DLQ_RELAY_POLL_INTERVAL * 3 > conf.DLQ_RELAY_LEASE:
        yield Error(
            "DLQ_RELAY_POLL_INTERVAL is longer than a third of DLQ_RELAY_LEASE.",
            hint="A relay that rests that long would seem dead, and lose its lanes to another one.",
            id="django_dlq.E043",
        )
    inbox, closed = conf.DLQ_INBOX_RETENTION, conf.DLQ_CLOSED_RETENTION
    if inbox is not None and (closed is None or inbox <= closed + conf.DLQ_REPLAY_WINDOW):
        yield Error(
            "DLQ_INBOX_RETENTION is not longer than DLQ_CLOSED_RETENTION and DLQ_REPLAY_WINDOW together.",
            hint="The inbox must remember a message for longer than its dead letter can be replayed and be on its way.",
            id="django_dlq.E041",
        )
    if debezium.is_used():
        yield from _check_debezium()


def _check_debezium() -> Iterator[CheckMessage]:
    brokers = conf.DLQ_BROKERS if isinstance(conf.DLQ_BROKERS, Mapping) else {}
    for alias, broker in brokers.items():
        if not (isinstance(broker, Mapping) and has_servers(broker.get("OPTIONS", {}))):
            yield Error(
                f"DLQ_OUTBOX_RETENTION is set, and DLQ_BROKERS[{alias!r}] is not Kafka.",
                hint="Remove the setting and run the relay: Kafka Connect sends to Kafka only.",
                id="django_dlq.E042",
            )
