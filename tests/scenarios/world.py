"""A shop, its relay and its consumers in this process, on any broker."""

import json
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from django.db import transaction

from django_dlq import inbox, outbox
from django_dlq.brokers import brokers
from django_dlq.brokers.base import Broker
from django_dlq.consumer import Consumer
from django_dlq.message import ID, ReceivedMessage, Record
from django_dlq.models import OutboxMessage
from django_dlq.relay import Relay
from tests.shop.models import Box

SECONDS = 20.0


class World:
    """One topic, and a group that packs its orders; each Box says who packed what."""

    def __init__(self, outage: Any) -> None:
        name = uuid.uuid4().hex[:12]
        self.topic, self.group = f"orders-{name}", f"shipping-{name}"
        self.outage = outage
        self.failing: dict[str, Exception] = {}
        self.add_group(self.group)

    @property
    def broker(self) -> Broker:
        """The broker of this thread."""
        broker: Broker = brokers["default"]
        return broker

    def add_group(self, group: str) -> None:
        """Let another group pack the same orders."""

        def pack(message: ReceivedMessage) -> None:
            order = message.json()["order"]
            Box.objects.create(order=f"{group}:{order}")
            if order in self.failing:
                raise self.failing[order]

        pack.__qualname__ = f"pack_for_{group}"
        inbox.handler(self.topic, group=group)(pack)

    def publish(self, *orders: str, **options: Any) -> None:
        """Publish orders in one transaction, each with itself as its message key unless told otherwise."""
        with transaction.atomic():
            for order in orders:
                outbox.publish(self.topic, {"order": order}, **{"key": "k", "message_key": order, **options})

    def relay(self) -> None:
        """Run a relay until the outbox is empty."""
        with closing(Relay()) as relay:
            until(lambda: not OutboxMessage.objects.exists(), meanwhile=relay.run_once)

    def consume(self, *, settled: int, group: str | None = None) -> None:
        """Run a consumer until so many messages are settled."""
        with closing(Consumer(group or self.group)) as consumer:
            done = 0
            deadline = time.monotonic() + SECONDS
            while done < settled:
                assert time.monotonic() < deadline, f"{done} of {settled} messages were settled"
                done += consumer.run_once()
        assert done == settled

    def arrived(self, *keys: str) -> list[Record]:
        """Read what is in the topic with these keys, up to a last message of each that is published here."""
        keys = keys or ("k",)
        for key in keys:
            self.publish("last", key=key)
        self.relay()
        found: list[Record] = []
        with closing(self.broker.subscribe([self.topic], f"reader-{uuid.uuid4().hex}")) as reader:
            until(
                lambda: [order_of(record) for record in found].count("last") == len(keys),
                meanwhile=lambda: found.extend(reader.poll(100, 1)),
            )
        return [record for record in found if order_of(record) != "last"]

    def packed(self, group: str | None = None) -> list[str]:
        """Return the orders that a group has packed."""
        prefix = f"{group or self.group}:"
        boxes = Box.objects.filter(order__startswith=prefix).order_by("id")
        return [box.order.removeprefix(prefix) for box in boxes]


def until(condition: Callable[[], bool], *, meanwhile: Callable[[], object]) -> None:
    """Do something again and again until a condition holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        meanwhile()


def order_of(record: Record) -> str:
    """Return the order that a record is about."""
    return str(json.loads(record.body or b"")["order"])


def id_of(record: Record) -> bytes | None:
    """Return the message id of a record."""
    return record.header(ID)


def once_each(records: Iterable[Record]) -> list[str]:
    """Return the orders of records without repeats of the same id."""
    return list({id_of(record): order_of(record) for record in records}.values())
