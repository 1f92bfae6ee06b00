"""Half messages, for work that is not in this database.

half = outbox.prepare("payments", {"order": order.pk}, checker="payments.charge")   # durable, and invisible
gateway.charge(order)                                                               # not in this database
half.commit()                                                                       # now it is sent

If the process dies in between, the checker is asked (checkback.py): RocketMQ's transactional messages.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta

from django.db import DatabaseError, router

from django_dlq import tracing
from django_dlq.checkers import checkers
from django_dlq.composing import check_size, check_span, message_columns
from django_dlq.conf import conf
from django_dlq.exceptions import DecidedOtherwise, InsideTransaction, InvalidMessage, UnknownHalfMessage
from django_dlq.fingerprint import one_line
from django_dlq.message import Body, Message
from django_dlq.models import HalfMessage, HalfState, OutboxMessage, in_future, in_own_transaction
from django_dlq.models.fresh import fresh

MOST_CHECKS = 1_000_000


def prepare(
    topic: str,
    body: Body,
    *,
    checker: str,
    key: str | None = None,
    message_key: str | None = None,
    tag: str = "",
    headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes | None]] = (),
    delay: timedelta | None = None,
    expires_in: timedelta | None = None,
    priority: int = 0,
    broker: str = "default",
    check_after: timedelta | None = None,
    check_every: timedelta | None = None,
    most_checks: int | None = None,
    using: str | None = None,
) -> HalfMessage:
    """Write a message that nobody sees until it is committed, durably before this returns; return its row.

    checker: the name of the function that is asked what happened if nobody decides, see `checker`. check_after: how
    long nobody asks, to be longer than the work usually takes; then one asks every `check_every`, at most `most_checks`
    times; by default DLQ_CHECKBACK_AFTER, _EVERY and _MOST. `delay` and `expires_in` count from the commit; all else is
    as for `publish`.

    Raises InsideTransaction inside atomic(): what could still be rolled back is no ground to begin work outside on.
    Raises UnknownChecker, InvalidMessage, BodyNotSerializable or MessageTooLarge, all before anything is written.
    """
    message = Message(
        topic,
        body,
        key=key,
        message_key=message_key,
        tag=tag,
        headers=headers,
        delay=delay,
        expires_in=expires_in,
        priority=priority,
        broker=broker,
    )
    checkers.expect(checker)
    times = {"check_after": check_after, "check_every": check_every, "most_checks": most_checks}
    row = compose(message, checker=checker, **times)  # type: ignore[arg-type]
    write(row, using=using)
    return row


def compose(
    message: Message,
    *,
    checker: str = "",
    check_after: timedelta | None = None,
    check_every: timedelta | None = None,
    most_checks: int | None = None,
) -> HalfMessage:
    """Return the row of a half message, not yet written; raise a PublishError for what is wrong with it."""
    after = conf.DLQ_CHECKBACK_AFTER if check_after is None else check_after
    every = conf.DLQ_CHECKBACK_EVERY if check_every is None else check_every
    most = conf.DLQ_CHECKBACK_MOST if most_checks is None else most_checks
    check_span("check_after", after)
    check_span("check_every", every)
    if not isinstance(most, int) or isinstance(most, bool) or not 0 < most <= MOST_CHECKS:
        raise InvalidMessage(f"most_checks must be a number from 1 to {MOST_CHECKS}, not {most!r}")
    row = fresh(HalfMessage, message_columns(message, tracing.current_headers()))
    row.priority, row.delay, row.expires_in = message.priority, message.delay, message.expires_in
    row.checker, row.check_every, row.most_checks = checker, every, most
    row.next_check_at, row.check_after = in_future(after), after
    check_size(row)
    return row


def write(row: HalfMessage, *, using: str | None = None) -> None:
    """Write a composed half message, in a transaction of its own; raise InsideTransaction inside another one."""
    alias = using or router.db_for_write(OutboxMessage)
    if in_own_transaction(alias):
        raise InsideTransaction(
            f"prepare() must be called outside transaction.atomic(using={alias!r}): the half message must be there, "
            "whatever happens, before the work begins that it tells of. With ATOMIC_REQUESTS, put "
            "@transaction.non_atomic_requests on the view."
        )
    row.insert(alias)


def half(message_id: str, *, using: str | None = None) -> HalfMessage:
    """Return a half message by its `message_id`, to decide it elsewhere than where it was prepared.

    Raises UnknownHalfMessage if there is none, or if it was decided so long ago that retention has deleted it.
    """
    rows = HalfMessage.objects.using(using or router.db_for_write(OutboxMessage))
    found = rows.filter(message_id=message_id).first()
    if found is None:
        raise UnknownHalfMessage(f"there is no half message {message_id!r}")
    return found


@contextmanager
def half_message(
    topic: str,
    body: Body,
    *,
    checker: str,
    unknown_after: tuple[type[Exception], ...] = (OSError,),
    key: str | None = None,
    message_key: str | None = None,
    tag: str = "",
    headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes | None]] = (),
    delay: timedelta | None = None,
    expires_in: timedelta | None = None,
    priority: int = 0,
    broker: str = "default",
    check_after: timedelta | None = None,
    check_every: timedelta | None = None,
    most_checks: int | None = None,
    using: str | None = None,
) -> Iterator[HalfMessage]:
    """Prepare a half message, run the block, and commit it; after an exception roll it back, and raise that.

    unknown_after: exceptions that do not tell whether the work was done, by default OSError, which is what a network's
    time-outs and broken connections are: then nothing is decided here, and the checker is asked. So it is after
    KeyboardInterrupt, SystemExit and whatever else is no Exception. What the block itself has decided stays.

    Raises what `prepare` and `commit` raise; all arguments are those of `prepare`.
    """
    row = prepare(
        topic,
        body,
        checker=checker,
        key=key,
        message_key=message_key,
        tag=tag,
        headers=headers,
        delay=delay,
        expires_in=expires_in,
        priority=priority,
        broker=broker,
        check_after=check_after,
        check_every=check_every,
        most_checks=most_checks,
        using=using,
    )
    try:
        yield row
    except unknown_after:
        raise
    except Exception as error:
        _roll_back(row, error)
        raise
    if row.state != HalfState.ROLLED_BACK:
        row.commit()


def _roll_back(row: HalfMessage, error: Exception) -> None:
    # What the caller must hear of is his own error; a decision that fails is left to the checker.
    with suppress(DatabaseError):
        try:
            row.rollback(reason=one_line(error))
        except (DecidedOtherwise, UnknownHalfMessage) as refusal:
            error.add_note(str(refusal))
