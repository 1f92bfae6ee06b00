"""Messages for the group `shipping`, and what became of them."""

import time

from django_dlq.message import Record
from tests.shop.models import Box

SECONDS = 30


def record(number, key=None, *, partition=0):
    headers = (("dlq-message-key", b"%d" % number), ("id", b"%d" % number))
    return Record("orders", key, b"{}", headers, partition=partition, offset=number)


def pack(message):
    Box.objects.create(order=message.message_key)


def boxes():
    return sorted(int(order) for order in Box.objects.values_list("order", flat=True))


def run_until(condition, member):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        member.run_once(timeout=0.01)


def committed(broker):
    return max((done.offset for done in broker.subscriptions[0].committed), default=None)
