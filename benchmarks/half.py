"""What a half message costs beside a message, and how many checks a process makes."""

from contextlib import closing
from datetime import timedelta
from functools import partial
from itertools import count

from django.db import transaction

from benchmarks import database
from benchmarks.bodies import body
from benchmarks.measure import Comparison, Result, interleaved, seconds
from django_dlq import outbox
from django_dlq.checkback import CheckBack
from django_dlq.encoding import encode_body
from django_dlq.message import ReceivedMessage
from django_dlq.models import HalfMessage, in_future

TOPIC = "bench-half"
TIMES = 300
HALVES = 10_000

numbers = count(1)


@outbox.checker("bench.commit")
def commit(_: ReceivedMessage) -> outbox.Verdict:
    """Say at once that the work was done."""
    return outbox.Verdict.COMMIT


@outbox.checker("bench.unknown")
def unknown(_: ReceivedMessage) -> outbox.Verdict:
    """Say at once that nobody knows."""
    return outbox.Verdict.UNKNOWN


def half(rounds: int) -> Result:
    """Compare prepare and commit with publish, taking turns; and let checkers answer at once."""
    pairs: list[list[float]] = []
    rates: dict[str, list[float]] = {"bench.commit": [], "bench.unknown": []}
    for _ in range(rounds):
        database.empty()
        database.settle()
        pairs.append([1000 * taken for taken in interleaved(TIMES, [_prepare_and_commit, _publish])])
        for checker, found in rates.items():
            database.empty()
            _fill(checker)
            database.settle()
            found.append(HALVES / seconds(_check_all))
    ours, other = zip(*pairs, strict=True)
    return Result(
        figures=[
            Comparison(
                name="prepare and commit", unit="ms", ours=ours, other=other, against="publish", goal="2.2 x",
                note="each in transactions of its own",
            ),
            *map(partial(_rate, rates), rates),
        ]
    )  # fmt: skip


def _rate(rates: dict[str, list[float]], checker: str) -> Comparison:
    verdict = checker.rpartition(".")[2].upper()
    note = f"one process asks about {HALVES:,} that are due, and the checker answers {verdict} at once"
    return Comparison(name=f"checks, {verdict}", unit="checks/s", ours=rates[checker], note=note)


def _publish() -> None:
    number = next(numbers)
    with transaction.atomic():
        outbox.publish(TOPIC, body(number), key=str(number))


def _prepare_and_commit() -> None:
    number = next(numbers)
    outbox.prepare(TOPIC, body(number), key=str(number), checker="bench.commit").commit()


def _fill(checker: str) -> None:
    rows = [
        HalfMessage(
            topic=TOPIC, message_id=str(number), message_key=str(number), body=encode_body(body(number)),
            checker=checker, most_checks=15, check_every=timedelta(hours=1), next_check_at=in_future(timedelta(0)),
        )
        for number in range(HALVES)
    ]  # fmt: skip
    HalfMessage.objects.bulk_create(rows, batch_size=1000)


def _check_all() -> None:
    with closing(CheckBack()) as machine:
        while machine.run_once() or machine.is_busy:
            pass
