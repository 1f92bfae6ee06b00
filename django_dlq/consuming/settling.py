"""Settle deliveries: handle each message once, in one transaction with its inbox row, or store why that failed.

A batch is one transaction. If it fails it is halved until the message that it fails on is alone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from django.db import InterfaceError, OperationalError, router, transaction

from django_dlq import burial, failures, inbox, parking, tracing
from django_dlq import message as wire
from django_dlq.connections import lost_connection, open_connections
from django_dlq.consuming.circuits import NOT_ASKED, Circuits
from django_dlq.consuming.delivery import Delivery, Outcome, handler_of
from django_dlq.consuming.storm import OFF, StormGuard
from django_dlq.contention import is_contention, over_contention
from django_dlq.debezium import as_relayed
from django_dlq.message import ReceivedMessage, Record, readable
from django_dlq.models import InboxMessage, database_now
from django_dlq.registry import handlers

T = TypeVar("T")

ASKING = frozenset({wire.EXPIRES, wire.GROUP, wire.LETTER, wire.HEADERS})
"""Headers that ask for more than that a message be handled; the last one stands for all, through Debezium."""

LONGEST_LETTER_ID = 18
"""Digits: any more would not be a number that every database can look for."""


def delivery_of(record: Record, group: str) -> Delivery:
    """Read a record and find the handler that takes it; where none does, that is its outcome."""
    is_plain = _is_plain(record)
    read = record if is_plain else as_relayed(record)
    message = ReceivedMessage.of(read, group)
    handler = handlers.match(group, read.topic, message.tag)
    outcome: Outcome | None = None
    if handler is None:
        outcome = "tag"
    elif not is_plain and (only_for := read.header(wire.GROUP)) and readable(only_for) != group:
        outcome = "group"
    return Delivery(record, message, handler, outcome, is_plain=is_plain)


def _is_plain(record: Record) -> bool:
    # Once for all of these headers: each message would be asked for each of them, and hardly any has one.
    for name, _ in record.headers:  # noqa: SIM110  # a generator would take three times as long
        if name in ASKING:
            return False
    return True


def settle(work: Sequence[Delivery], circuits: Circuits = NOT_ASKED, guard: StormGuard = OFF) -> None:
    """Give each of these an outcome: deliveries of one handler, no more than it takes at once.

    What has none afterwards has not been handled, and pays no attempt: it failed while its circuit is not closed, so
    many others failed that the group must stop, or the database cannot be reached, which is raised.
    """
    if len(work) == 1:
        _settle_one(work[0], circuits, guard)
        return
    for delivery in _expired(work):
        _settle_one(delivery, circuits, guard)
    _settle_together([delivery for delivery in work if delivery.outcome is None], circuits, guard)


def _settle_one(delivery: Delivery, circuits: Circuits, guard: StormGuard) -> None:
    message, handler = delivery.message, handler_of(delivery)
    try:
        outcome = _undisturbed(partial(_handle, delivery))
    except BaseException as error:  # whatever a handler raises is the letter's content, SystemExit too
        if _is_nobodys_fault(error):
            raise
        if circuits.claims(handler, error):
            return
        is_nobodys = circuits.suspects(handler, error) or is_contention(error)
        failure = failures.settle(message, handler, error)
        delivery.outcome = "failed"
        if not is_nobodys:
            guard.failed(message, handler, error, failure)
    else:
        delivery.outcome = outcome
        circuits.ended(handler, was_called=outcome == "handled")
        if outcome == "handled":
            guard.succeeded(handler)


def _settle_together(work: Sequence[Delivery], circuits: Circuits, guard: StormGuard) -> None:
    if guard.is_stopped:
        return
    work = _not_waiting(work, circuits, guard)
    if len(work) < 2:
        for delivery in work:
            _settle_one(delivery, circuits, guard)
    elif not _succeeds(work, circuits, guard):
        middle = len(work) // 2
        _settle_together(work[:middle], circuits, guard)
        if not circuits.blocks(handler_of(work[0])):
            _settle_together(work[middle:], circuits, guard)


def _succeeds(work: Sequence[Delivery], circuits: Circuits, guard: StormGuard) -> bool:
    """Handle them in one transaction; return False if the handler fails, on whichever of them it was.

    If it is what they depend on that fails, nothing is to be looked for among them: they go back as they are.
    """
    try:
        new = _undisturbed(partial(_handle_together, work))
    except BaseException as error:  # the one whose fault it is will raise it once more, alone
        if _is_nobodys_fault(error):
            raise
        return circuits.claims(handler_of(work[0]), error)
    circuits.ended(handler_of(work[0]), was_called=bool(new))
    for delivery in work:
        delivery.outcome = "handled" if id(delivery.message) in new else "duplicate"
    if new:
        guard.succeeded(handler_of(work[0]), len(new))
    return True


def bury_hanging(delivery: Delivery, error: BaseException, *, is_handler: bool) -> None:
    """Store a failed attempt that does not end: its message is to be retried, or dead."""
    failures.bury_hanging(delivery.message, handler_of(delivery), error, is_handler=is_handler)
    delivery.outcome = "failed"


def _undisturbed(handle: Callable[[], T]) -> T:
    """Handle, and again if that was kept from it by what says nothing about the message, and costs it no attempt."""
    return over_contention(partial(_over_a_break, handle), using=router.db_for_write(InboxMessage))


def _over_a_break(handle: Callable[[], T]) -> T:
    """Handle, and once more at once if the database connection broke meanwhile, or had while nothing was to do.

    A handler that breaks the second connection too is to blame.
    """
    before = open_connections()
    try:
        return handle()
    except (OperationalError, InterfaceError):
        if open_connections() == before:
            raise
        return handle()


def _is_nobodys_fault(error: BaseException) -> bool:
    return isinstance(error, KeyboardInterrupt) or lost_connection(error)


def _handle(delivery: Delivery) -> Outcome:
    def handle(message: ReceivedMessage) -> None:
        failures.expect_life(delivery.deaths)
        if not delivery.is_plain:
            inbox.check_expiry(message)
        with tracing.handling(message):
            handler_of(delivery).call([message])
        _end_replay(delivery)

    outcome = parking.handle_in_turn(delivery.message, handler_of(delivery), handle)
    if outcome == "duplicate":
        _end_replay(delivery)
    return outcome


def _handle_together(work: Sequence[Delivery]) -> set[int]:
    """Call the handler with those that are new; return the ids of their objects."""
    messages = [delivery.message for delivery in work]
    using = router.db_for_write(InboxMessage)
    with transaction.atomic(using=using):
        new = InboxMessage.objects.claim_many(messages, messages[0].group)
        if new:
            with tracing.handling_together(new):
                handler_of(work[0]).call(new)
            inbox.expect_sound_transaction(using)
        for delivery in work:
            _end_replay(delivery)
    return set(map(id, new))


def _not_waiting(work: Sequence[Delivery], circuits: Circuits, guard: StormGuard) -> Sequence[Delivery]:
    """Settle those alone whose key waits, where order matters, and return what else may be done now.

    Asked for each half of what has failed together: in the first one a message may have failed that is before those of
    the second.
    """
    if len(work) < 2 or not handler_of(work[0]).ordered:
        return work
    waits = parking.whose_keys_wait([delivery.message for delivery in work])
    for delivery, must_wait in zip(work, waits, strict=True):
        if must_wait:
            _settle_one(delivery, circuits, guard)
            if delivery.outcome is None:
                return []  # it goes back as if untouched, and what is behind it must not go before it
    return [delivery for delivery in work if delivery.outcome is None]


def _expired(work: Sequence[Delivery]) -> list[Delivery]:
    """Return those to be refused one by one: what a batch was told is handled must not contain them."""
    asking = [delivery for delivery in work if not delivery.is_plain]
    limited = [(delivery, until) for delivery in asking if (until := inbox.expires_at(delivery.message))]
    if not limited:
        return []
    now = database_now(router.db_for_write(InboxMessage))
    return [delivery for delivery, until in limited if until <= now]


def _end_replay(delivery: Delivery) -> None:
    if delivery.is_plain:
        return
    message = delivery.message
    number = message.record.header(wire.LETTER)
    if not number or not message.record.header(wire.GROUP):
        return
    if number.isdigit() and len(number) <= LONGEST_LETTER_ID:
        burial.resolve_replay_of(message, int(number))
