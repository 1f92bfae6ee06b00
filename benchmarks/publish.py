"""What a message adds to the transaction that writes it."""

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from django.db import transaction

from benchmarks import database, raw
from benchmarks.measure import Comparison, interleaved
from benchmarks.models import Order
from django_dlq import outbox

TOPIC = "bench-publish"
TRANSACTIONS = 300
BULK_TRANSACTIONS = 5
BULK = 1000

Writer = Callable[[], object]
numbers = count(1)


def body(number: int) -> dict[str, Any]:
    """Return a JSON body of about 250 bytes."""
    lines = [{"sku": f"SKU-{number:06d}-{line}", "quantity": line, "price": "19.90"} for line in range(1, 4)]
    return {"order": number, "customer": f"customer-{number}", "currency": "EUR", "lines": lines, "paid": True}


def measure(rounds: int) -> list[Comparison]:
    """Compare transactions with and without messages, taking turns."""
    one: list[tuple[float, float]] = []
    bulk: list[tuple[float, float]] = []
    with database.by_hand() as connection:
        by_hand = partial(_by_hand, connection)
        for _ in range(rounds):
            database.empty()
            database.settle()
            one.append(_added(TRANSACTIONS, [_orm, partial(_orm, _publish)], [by_hand, partial(by_hand, _raw_publish)]))
            bulk.append(_added(BULK_TRANSACTIONS, [_orm, partial(_orm, _many)], [by_hand, partial(by_hand, _raw_many)]))
    return [
        _comparison("publish", "one publish, added to a transaction", one),
        _comparison("publish_many", f"publish_many of {BULK:,}, added to a transaction", bulk),
    ]


def _added(times: int, ours: list[Writer], by_hand: list[Writer]) -> tuple[float, float]:
    bare, full, raw_bare, raw_full = interleaved(times, [*ours, *by_hand])
    return (full - bare) * 1000, (raw_full - raw_bare) * 1000


def _comparison(name: str, note: str, added: list[tuple[float, float]]) -> Comparison:
    return Comparison(name=name, unit="ms", ours=[a for a, _ in added], raw=[b for _, b in added], note=note)


def _orm(write: Callable[[int], object] | None = None) -> None:
    number = next(numbers)
    with transaction.atomic():
        Order(number=str(number)).save(force_insert=True)
        if write is not None:
            write(number)


def _publish(number: int) -> None:
    outbox.publish(TOPIC, body(number), key=str(number))


def _many(number: int) -> None:
    outbox.publish_many(outbox.Message(TOPIC, body(number), key=f"{number}-{n}") for n in range(BULK))


def _by_hand(connection: raw.Connection, write: Callable[[raw.Connection, int], object] | None = None) -> None:
    number = next(numbers)
    with connection.transaction():
        connection.execute(raw.ORDER, (str(number),)).fetchone()
        if write is not None:
            write(connection, number)


def _raw_publish(connection: raw.Connection, number: int) -> None:
    raw.publish(connection, TOPIC, str(number), body(number))


def _raw_many(connection: raw.Connection, number: int) -> None:
    raw.publish_many(connection, TOPIC, [(f"{number}-{n}", body(number)) for n in range(BULK)])
