"""Orders without end: a shop that goes on while a service is away, and what must hold afterwards."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count

from django.db import DatabaseError, InterfaceError, connection

from django_dlq.models import DeadLetter
from tests.scenarios.stage import Stage, once_each, order_of
from tests.services.service import Server
from tests.shop.models import Box, Order

KEYS = 20
SECONDS_BETWEEN_ORDERS = 0.02


@contextmanager
def load(stage: Stage) -> Iterator[None]:
    """Publish about fifty orders per second, over twenty keys, in a thread."""
    closing = threading.Event()
    thread = threading.Thread(target=_take_orders, args=(stage, closing))
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join()


def _take_orders(stage: Stage, closing: threading.Event) -> None:
    for number in count():
        key = f"key-{number % KEYS}"
        try:
            stage.publish(f"{key}:{number}", key=key)
        except (DatabaseError, InterfaceError):
            connection.close()  # the customer sees an error; whether it was committed, the table knows
        if closing.wait(SECONDS_BETWEEN_ORDERS):
            break
    connection.close()


def restart_under_load(stage: Stage, server: Server) -> None:
    """Restart the database, cut its power, and restart it again, while orders come in; nothing else is helped along."""
    with stage.running("dlq_relay", "dlq_consume"):
        with load(stage):
            for end in (server.stop, server.kill, server.stop):
                pack_a_hundred(stage)
                end()
                server.start()
                connection.close()
            pack_a_hundred(stage)
        stage.until(lambda: stage.outbox_is_empty() and stage.is_consumed())


def pack_a_hundred(stage: Stage) -> None:
    """Wait until a hundred more orders are packed."""
    before = stage.boxes()
    stage.until(lambda: stage.boxes() > before + 100)


def assert_all_is_well(stage: Stage) -> None:
    """Compare the orders in the database with the topic and with the effects: all there, once, each key in order."""
    letters = DeadLetter.objects.values_list("message_key", "state", "error_class", "error_message")
    assert list(letters) == []
    taken = list(Order.objects.order_by("id").values_list("number", flat=True))
    assert len(taken) > KEYS
    messages = stage.messages()
    assert by_key(order_of(message) for message in once_each(messages)) == by_key(taken)
    assert by_key(Box.objects.order_by("id").values_list("order", flat=True)) == by_key(taken)


def by_key(orders: Iterable[str]) -> dict[str, list[str]]:
    """Sort orders by key, each key's in the order given."""
    sequences = defaultdict(list)
    for order in orders:
        key, _, number = order.partition(":")
        sequences[key].append(number)
    return dict(sequences)
