"""What a message adds to the transaction that writes it."""

from collections.abc import Callable
from functools import partial
from itertools import count

from django.db import transaction

from benchmarks import database, raw
from benchmarks.bodies import body
from benchmarks.measure import Comparison, Result, interleaved
from benchmarks.models import Order
from django_dlq import outbox

TOPIC = "bench-publish"
TRANSACTIONS = 300
BULK_TRANSACTIONS = 5
BULK = 1000

Writer = Callable[[], object]
numbers = count(1)


def publish(rounds: int) -> Result:
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
    return Result(
        figures=[
            _comparison("publish", "one publish, added to a transaction", one, goal="0.30 ms"),
            _comparison("publish_many", f"publish_many of {BULK:,}, added to a transaction", bulk, goal="20 ms"),
        ]
    )


def _added(times: int, ours: list[Writer], by_hand: list[Writer]) -> tuple[float, float]:
    bare, full, raw_bare, raw_full = interleaved(times, [*ours, *by_hand])
    return (full - bare) * 1000, (raw_full - raw_bare) * 1000


def _comparison(name: str, note: str, added: list[tuple[float, float]], *, goal: str) -> Comparison:
    ours, by_hand = zip(*added, strict=True)
    return Comparison(name=name, unit="ms", ours=ours, other=by_hand, goal=goal, against="by hand", note=note)


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
