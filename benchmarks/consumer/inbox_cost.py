"""What the inbox adds to a handler's transaction."""

import itertools

from django.db import transaction

from benchmarks import database
from benchmarks.consumer.single import handle
from benchmarks.measure import Comparison, Result, interleaved
from django_dlq import inbox
from django_dlq.message import ReceivedMessage, Record

CALLS = 500


def inbox_cost(rounds: int) -> Result:
    """Time the same handler with its inbox row and without, in turns."""
    database.empty()
    database.settle()
    numbers = itertools.count()

    def message() -> ReceivedMessage:
        number = next(numbers)
        return ReceivedMessage.of(Record("t", None, b'{"order": "A-1"}', (), 0, number), "inbox-cost")

    def with_inbox() -> None:
        inbox.handle_once(message(), "inbox-cost", handle)

    def without() -> None:
        with transaction.atomic():
            handle(message())

    measured = [interleaved(CALLS, [with_inbox, without]) for _ in range(rounds)]
    cost = [(ours - other) * 1000 for ours, other in measured]
    figure = Comparison(
        name="cost of the inbox", unit="ms", ours=cost, goal="at most 0.20 ms", note="a handler with one INSERT"
    )
    return Result(figures=[figure])
