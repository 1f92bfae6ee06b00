"""Bury what failed, and settle what went well after all: what the machines do to letters.

What people do to them is in deadletters.py.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.db.models import QuerySet

from django_dlq import signals
from django_dlq.exceptions import IllegalTransition
from django_dlq.fingerprint import Failure
from django_dlq.hold_policy import EXPIRED, must_hold
from django_dlq.letter_columns import failure_columns, received_columns
from django_dlq.letter_writing import failure_data, new_letter, note_failure, write_failure
from django_dlq.message import ReceivedMessage
from django_dlq.models import (
    DatabaseNow,
    DeadLetter,
    DeadLetterEvent,
    Kind,
    OutboxMessage,
    Source,
    State,
    WaitingKey,
    release_next,
)
from django_dlq.registry import Handler

ROWS_PER_INSERT = 200

__all__ = [
    "bury_received",
    "bury_unsent",
    "compensate",
    "fail_again",
    "lock_open",
    "lock_retrying",
    "resolve",
    "resolve_replay_of",
    "resolve_replays",
    "skip",
]


def bury_unsent(rows: Sequence[tuple[OutboxMessage, Failure]]) -> list[DeadLetter]:
    """Turn outbox rows that cannot be sent, or must not be any more, into dead letters, in one transaction.

    If a row was a replay, its letter is dead again instead of there being a second one. Where DLQ_HOLD_TOPICS says so,
    a letter holds its key. A few statements do it for all; only a replay takes statements of its own, as does every row
    where the database does not return the ids of many. Telling is left to the caller.
    """
    in_bulk = connections[_database()].features.can_return_rows_from_bulk_insert
    new = [(row, failure) for row, failure in rows if in_bulk and row.letter_id is None]
    others = [(row, failure) for row, failure in rows if not in_bulk or row.letter_id is not None]
    with transaction.atomic(using=_database()):
        letters = [_bury_unsent(row, failure) for row, failure in others]
        if new:
            letters += _new_unsent_letters(new)
            OutboxMessage.objects.filter(pk__in=[row.pk for row, _ in new]).delete()
    return letters


def bury_received(
    message: ReceivedMessage, failure: Failure, *, handler: Handler, delay: timedelta | None
) -> DeadLetter:
    """Write down that a message could not be handled: to be retried after `delay`, or dead if that is None.

    A message has one open letter per group, however often it is delivered; each failure is a line in its timeline. If
    the handler is ordered, its key waits from now on.
    """
    try:
        letter = _bury_received(message, failure, handler=handler, delay=delay)
    except IntegrityError:
        # The same message failed elsewhere between the look and the insert: now there is a letter to be found.
        letter = _bury_received(message, failure, handler=handler, delay=delay)
    signals.tell(signals.message_failed, DeadLetter, letter=letter)
    return letter


def fail_again(letter: DeadLetter, failure: Failure, *, delay: timedelta | None) -> None:
    """Write down that a retry failed too: to be retried after `delay`, or dead if that is None."""
    with transaction.atomic(using=_database()):
        write_failure(letter, failure, delay=delay)
    signals.tell(signals.message_failed, DeadLetter, letter=letter)


def resolve(letter: DeadLetter, *, actor: str, reason: str = "") -> None:
    """Settle a letter whose message has been handled, or sent; in the caller's transaction."""
    letter.move("resolve", reread=False)
    DeadLetterEvent.objects.note(letter, Kind.RESOLVED, actor=actor, reason=reason)
    release_next(letter, actor=actor)


def skip(letter: DeadLetter, *, actor: str, reason: str) -> None:
    """Settle a letter whose message its handler has decided to pass over; in the caller's transaction."""
    letter.move("skip")
    DeadLetterEvent.objects.note(letter, Kind.SKIPPED, actor=actor, reason=reason)
    release_next(letter, actor=actor)


def compensate(
    message: ReceivedMessage, failure: Failure, *, handler: Handler, letter: DeadLetter | None, actor: str, by: str
) -> None:
    """Write down that a message failed and that the function `by` made it good; in the caller's transaction."""
    if letter is None:
        columns = received_columns(message, handler) | {"open_key": None, "closed_at": DatabaseNow()}
        letter = new_letter(failure, delay=None, state=State.COMPENSATED, **columns)
    else:
        write_failure(letter, failure, delay=None, verb="compensate")
    DeadLetterEvent.objects.note(letter, Kind.COMPENSATED, actor=actor, data={"by": by})
    release_next(letter, actor=actor)


def lock_retrying(letter: DeadLetter) -> DeadLetter | None:
    """Lock a letter until the end of the transaction, unless it is no longer as it was read."""
    unchanged = DeadLetter.objects.filter(pk=letter.pk, state=State.RETRYING, attempts=letter.attempts)
    return unchanged.select_for_update().first()


def lock_open(message: ReceivedMessage) -> DeadLetter | None:
    """Lock the message's open letter until the end of the transaction, if there is one that nobody has locked.

    One that is parked is left alone: when its turn comes, the message is found to be done.
    """
    can_skip = connections[_database()].features.has_select_for_update_skip_locked
    letters = DeadLetter.objects.of_message(message.group, message.message_key)
    return letters.active().select_for_update(skip_locked=can_skip).first()


def resolve_replays(letter_ids: Iterable[int]) -> None:
    """Settle the relay's letters whose replays the broker has taken; those of a consumer wait for their handler."""
    _resolve(DeadLetter.objects.filter(pk__in=letter_ids, source=Source.RELAY), Source.RELAY)


def resolve_replay_of(message: ReceivedMessage, letter_id: int) -> None:
    """Settle the letter whose replay this message says it is, now that it is handled.

    Anybody may write such a header, so letters of other groups and of other messages are passed over.
    """
    letters = DeadLetter.objects.filter(pk=letter_id, group=message.group, message_key=message.message_key)
    _resolve(letters, Source.CONSUMER)


def _bury_unsent(row: OutboxMessage, failure: Failure) -> DeadLetter:
    replaying = DeadLetter.objects.select_for_update().filter(state=State.REPLAYING)
    letter = None if row.letter_id is None else replaying.filter(pk=row.letter_id).first()
    if letter is None:
        letter = new_letter(failure, delay=None, **_unsent_columns(row, failure))
    else:
        changes: dict[str, Any] = {"holds_key": True} if _holds(row, failure) else {}
        write_failure(letter, failure, delay=None, **changes)
    OutboxMessage.objects.filter(pk=row.pk).delete()
    return letter


def _new_unsent_letters(rows: Sequence[tuple[OutboxMessage, Failure]]) -> list[DeadLetter]:
    columns = [failure_columns(failure) | _unsent_columns(row, failure) for row, failure in rows]
    created = DeadLetter.objects.bulk_create(
        [DeadLetter(state=State.DEAD, attempts=1, **each) for each in columns], batch_size=ROWS_PER_INSERT
    )
    # With what the database's clock has filled in.
    found = DeadLetter.objects.in_bulk([letter.pk for letter in created])
    letters = [found[letter.pk] for letter in created]
    events = [
        DeadLetterEvent(
            letter=letter, kind=Kind.FAILED, actor_name=letter.source, data=failure_data(letter, failure, is_new=True)
        )
        for letter, (_, failure) in zip(letters, rows, strict=True)
    ]
    DeadLetterEvent.objects.bulk_create(events, batch_size=ROWS_PER_INSERT)
    return letters


def _unsent_columns(row: OutboxMessage, failure: Failure) -> dict[str, Any]:
    # With its group: if it was a replay whose letter was settled meanwhile, others must not get the next.
    return row.message_columns() | {
        "source": Source.RELAY, "group": row.group, "holds_key": _holds(row, failure)
    }  # fmt: skip


def _holds(row: OutboxMessage, failure: Failure) -> bool:
    # What is sent again to one group comes late anyway: the later messages of its key have gone.
    return not row.group and must_hold(row.topic, row.key, error_class=failure.error_class)


def _resolve(letters: QuerySet[DeadLetter], actor: Source) -> None:
    for letter in letters.filter(state=State.REPLAYING):
        with transaction.atomic(using=_database()), suppress(IllegalTransition):  # somebody was faster
            resolve(letter, actor=actor.value)


def _bury_received(
    message: ReceivedMessage, failure: Failure, *, handler: Handler, delay: timedelta | None
) -> DeadLetter:
    with transaction.atomic(using=_database()):
        letter = DeadLetter.objects.select_for_update().of_message(message.group, message.message_key).first()
        if letter is None:
            return _new_received_letter(message, failure, handler=handler, delay=delay)
        if letter.state == State.PARKED:
            # It was tried where nobody knew yet that it has to wait. Its turn comes.
            note_failure(letter, failure, is_new=True)
            return letter
        if letter.state == State.RETRYING and delay is not None:
            # A process may have died of a retry, and so it is delivered again: that it lives this time says little.
            write_failure(letter, failure, delay=delay, deaths=letter.deaths)
            return letter
        # A dead letter that is delivered again and a replay that fails are for a person, not for the ladder.
        write_failure(letter, failure, delay=None)
        return letter


def _new_received_letter(
    message: ReceivedMessage, failure: Failure, *, handler: Handler, delay: timedelta | None
) -> DeadLetter:
    columns = received_columns(message, handler)
    if failure.error_class == EXPIRED:  # whoever set the expiry has said that the others can do without it
        columns["order_key"] = None
    if columns["order_key"] is not None:
        WaitingKey.objects.hold(columns["order_key"])
    return new_letter(failure, delay=delay, **columns)


def _database() -> str:
    return router.db_for_write(DeadLetter)
