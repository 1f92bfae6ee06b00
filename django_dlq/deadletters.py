"""Bury what failed, and what a person may do about it: replay, edit, discard, restore.

Every verb is one transaction, writes who did it and why, and raises IllegalTransition, changing nothing, if somebody
else was faster.

    deadletters.replay(letter, actor=request.user, reason="logistics is back")
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import IntegrityError, router, transaction
from django.db.models import F

from django_dlq import signals
from django_dlq.conf import conf
from django_dlq.exceptions import IllegalTransition, InvalidMessage, ReasonRequired
from django_dlq.fingerprint import Failure
from django_dlq.message import Body, ReceivedMessage, encode_body, encode_headers, new_message_id
from django_dlq.models import (
    DeadLetter,
    DeadLetterEvent,
    Kind,
    OutboxMessage,
    Source,
    State,
    in_future,
    key_columns,
    open_key,
)
from django_dlq.outbox import check_key, check_size, check_text
from django_dlq.registry import Handler

__all__ = ["bury_received", "bury_unsent", "discard", "edit", "fail_again", "replay", "resolve", "restore"]

Actor = AbstractUser | str
"""A user, or the name of a program that acts on its own."""

UNCHANGED: Any = object()


def replay(letter: DeadLetter, *, actor: Actor, reason: str = "") -> OutboxMessage:
    """Send the message again as it was, with the same ids, to the group that failed; return its outbox row.

    What becomes of it comes back to the letter: resolved, or dead again. Other groups skip it. A letter that could not
    be sent goes to its topic for all groups.
    """
    with transaction.atomic(using=_database()):
        letter.move("replay", replays=F("replays") + 1)
        row = _send_again(letter)
        _note(letter, Kind.REPLAYED, actor=actor, reason=reason)
    return row


def edit(
    letter: DeadLetter,
    *,
    actor: Actor,
    reason: str,
    body: Body | None = UNCHANGED,
    key: str | None = UNCHANGED,
    headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes | None]] = UNCHANGED,
    tag: str = UNCHANGED,
) -> DeadLetter:
    """Send a corrected copy, and return the letter that stands for it from now on.

    The original is kept as it was and counts as resolved; the copy is a letter of its own, `corrects` names the
    original, with a new message_id and the same message_key, so that a handler which has done the original's work after
    all skips the copy. It is resolved or dead when its outcome is known.
    Raises InvalidMessage if nothing was changed, and what `publish` raises for a part that cannot be sent.
    """
    _require(reason, "edit")
    changes = _changes(letter, body=body, key=key, headers=headers, tag=tag)
    with transaction.atomic(using=_database()):
        letter.move("edit")
        copy = _copy(letter, changes)
        check_size(_send_again(copy))
        names = sorted(changes.keys() - {"raw_key"})
        _note(letter, Kind.EDITED, actor=actor, reason=reason, data={"changed": names, "copy": copy.pk})
        _note(copy, Kind.EDITED, actor=actor, reason=reason, data={"changed": names, "original": letter.pk})
    return copy


def discard(letter: DeadLetter, *, actor: Actor, reason: str) -> None:
    """Settle the letter without sending it. It stays readable, and can be restored, until retention deletes it."""
    _require(reason, "discard")
    _move(letter, "discard", Kind.DISCARDED, actor=actor, reason=reason)


def restore(letter: DeadLetter, *, actor: Actor, reason: str = "") -> None:
    """Make a discarded letter dead again; or one that is replaying and whose outcome never came."""
    _move(letter, "restore", Kind.RESTORED, actor=actor, reason=reason)


def resolve(letter: DeadLetter, *, actor: Actor, reason: str = "") -> None:
    """Settle a letter whose message has been handled or sent; the machines call this."""
    _move(letter, "resolve", Kind.RESOLVED, actor=actor, reason=reason)


def bury_unsent(row: OutboxMessage, failure: Failure) -> DeadLetter:
    """Turn an outbox row that cannot be sent, or must not be any more, into a dead letter, in one transaction.

    If the row was a replay, its letter is dead again instead of there being a second one.
    """
    with transaction.atomic(using=_database()):
        replaying = DeadLetter.objects.select_for_update().filter(state=State.REPLAYING)
        letter = None if row.letter_id is None else replaying.filter(pk=row.letter_id).first()
        if letter is None:
            letter = _new_letter(failure, delay=None, source=Source.RELAY, **row.message_columns())
        else:
            _write_failure(letter, failure, delay=None)
        OutboxMessage.objects.filter(pk=row.pk).delete()
    signals.tell(signals.message_failed, DeadLetter, letter=letter)
    return letter


def bury_received(
    message: ReceivedMessage, failure: Failure, *, handler: Handler, delay: timedelta | None
) -> DeadLetter:
    """Write down that a message could not be handled: to be retried after `delay`, or dead if that is None.

    A message has one open letter per group, however often it is delivered; each failure is a line in its timeline.
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
        _write_failure(letter, failure, delay=delay)
    signals.tell(signals.message_failed, DeadLetter, letter=letter)


def resolve_replayed(letter_ids: Iterable[int], *, actor: Actor, group: str = "") -> None:
    """Settle the letters whose replays have arrived: at the broker (no group), or with the handler of a group.

    Ids come from headers, so those of other groups, of unknown letters, or of letters that somebody has meanwhile
    settled, are passed over.
    """
    replaying = DeadLetter.objects.filter(pk__in=letter_ids, group=group, state=State.REPLAYING)
    for letter in replaying:
        with suppress(IllegalTransition):
            resolve(letter, actor=actor)


def _bury_received(
    message: ReceivedMessage, failure: Failure, *, handler: Handler, delay: timedelta | None
) -> DeadLetter:
    with transaction.atomic(using=_database()):
        letter = DeadLetter.objects.select_for_update().of_message(message.group, message.message_key).first()
        if letter is None:
            return _new_letter(failure, delay=delay, **_received_columns(message, handler))
        # A dead letter that is delivered again and a replay that fails are for a person, not for the ladder.
        _write_failure(letter, failure, delay=delay if letter.state == State.RETRYING else None)
        return letter


def _received_columns(message: ReceivedMessage, handler: Handler) -> dict[str, Any]:
    record = message.record
    return {
        "source": Source.CONSUMER,
        "message_id": message.message_id,
        "message_key": message.message_key,
        "open_key": open_key(message.group, message.message_key),
        "topic": record.topic,
        "tag": message.tag,
        "headers": record.headers,
        "body": record.body,
        "broker": handler.broker,
        "group": message.group,
        "handler": handler.name[:255],
        "partition": record.partition,
        "offset": record.offset,
        "sent_at": record.timestamp,
        **key_columns(record.key),
    }


def _new_letter(failure: Failure, *, delay: timedelta | None, **columns: Any) -> DeadLetter:
    letter = DeadLetter.objects.create(
        state=State.DEAD if delay is None else State.RETRYING,
        next_attempt_at=None if delay is None else in_future(delay),
        attempts=1,
        **_failure_columns(failure),
        **columns,
    )
    # What the database's clock has filled in.
    letter.refresh_from_db(fields=["next_attempt_at"])
    _note_failure(letter, failure, is_new=True)
    return letter


def _write_failure(letter: DeadLetter, failure: Failure, *, delay: timedelta | None) -> None:
    is_new = failure.fingerprint != letter.fingerprint
    letter.failed_again("give_up" if delay is None else "retry", delay=delay, **_failure_columns(failure))
    _note_failure(letter, failure, is_new=is_new)


def _failure_columns(failure: Failure) -> dict[str, Any]:
    return {
        "error_class": failure.error_class[:255],
        "error_message": failure.error_message,
        "traceback": failure.traceback,
        "fingerprint": failure.fingerprint,
        "release": conf.DLQ_RELEASE,
    }


def _note_failure(letter: DeadLetter, failure: Failure, *, is_new: bool) -> None:
    data = {"attempt": letter.attempts, "error_class": failure.error_class, "error_message": failure.error_message}
    if is_new:  # sixteen retries that fail alike need one traceback
        data["traceback"] = failure.traceback
    _note(letter, Kind.FAILED, actor=letter.source, data=data)


def _move(letter: DeadLetter, verb: str, kind: Kind, *, actor: Actor, reason: str) -> None:
    with transaction.atomic(using=_database()):
        letter.move(verb)
        _note(letter, kind, actor=actor, reason=reason)


def _note(
    letter: DeadLetter, kind: Kind, *, actor: Actor, reason: str = "", data: Mapping[str, Any] | None = None
) -> None:
    user: Any = None if isinstance(actor, str) else actor
    name = actor if isinstance(actor, str) else actor.get_username()
    event = DeadLetterEvent.objects.create(
        letter=letter, kind=kind, actor=user, actor_name=name, reason=reason.strip(), data=dict(data or {})
    )
    if kind != Kind.FAILED:
        transaction.on_commit(
            partial(signals.tell, signals.letter_changed, DeadLetter, letter=letter, event=event), using=_database()
        )


def _send_again(letter: DeadLetter) -> OutboxMessage:
    columns = letter.message_columns() | {"headers": letter.publisher_headers()}
    return OutboxMessage.objects.create(letter_id=letter.pk, group=letter.group, **columns)


def _changes(letter: DeadLetter, **wanted: Any) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if wanted["body"] is not UNCHANGED:
        changes["body"] = None if wanted["body"] is None else encode_body(wanted["body"])
    if wanted["headers"] is not UNCHANGED:
        changes["headers"] = encode_headers(wanted["headers"])
    if wanted["key"] is not UNCHANGED:
        check_key(wanted["key"])
        changes |= key_columns(None if wanted["key"] is None else wanted["key"].encode())
    if wanted["tag"] is not UNCHANGED:
        check_text("tag", wanted["tag"])
        changes["tag"] = wanted["tag"]
    now = letter.message_columns() | {"headers": letter.publisher_headers(), "body": letter.body_bytes}
    changes = {name: value for name, value in changes.items() if value != now[name]}
    if not changes:
        raise InvalidMessage("nothing was changed; replay the letter instead")
    return changes


def _copy(letter: DeadLetter, changes: Mapping[str, Any]) -> DeadLetter:
    names = ("source", "group", "handler", "error_class", "error_message", "traceback", "fingerprint", "release")
    columns = {name: getattr(letter, name) for name in names} | letter.message_columns()
    columns |= {"headers": letter.publisher_headers(), "message_id": new_message_id(), **changes}
    return DeadLetter.objects.create(
        state=State.REPLAYING,
        replays=1,
        corrects=letter,
        open_key=open_key(letter.group, letter.message_key) if letter.source == Source.CONSUMER else None,
        **columns,
    )


def _require(reason: str, verb: str) -> None:
    if not reason.strip():
        raise ReasonRequired(f"say why you {verb} this letter; the reason stays in its timeline")


def _database() -> str:
    return router.db_for_write(DeadLetter)
