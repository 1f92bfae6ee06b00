"""What a person may do about a dead letter: replay, edit, discard, restore.

Every verb is one transaction, writes who did it and why, and raises IllegalTransition, changing nothing, if somebody
else was faster.

    deadletters.replay(letter, actor=request.user, reason="logistics is back")
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import router, transaction
from django.db.models import F

from django_dlq.composing import check_key, check_size, check_text
from django_dlq.encoding import encode_body, encode_headers
from django_dlq.exceptions import InvalidMessage, ReasonRequired
from django_dlq.hold_policy import must_hold
from django_dlq.message import Body, new_message_id
from django_dlq.models import (
    Actor,
    DeadLetter,
    DeadLetterEvent,
    Kind,
    OutboxMessage,
    Source,
    State,
    WaitingKey,
    key_columns,
    open_key,
    order_key,
    release_next,
)

__all__ = ["discard", "edit", "replay", "restore"]

UNCHANGED: Any = object()


def replay(letter: DeadLetter, *, actor: Actor, reason: str = "") -> OutboxMessage:
    """Send the message again as it was, with the same ids, to the group that failed; return its outbox row.

    What becomes of it comes back to the letter: resolved, or dead again. Other groups skip it. A letter that could not
    be sent goes to its topic for all groups.
    """
    with transaction.atomic(using=_database()):
        letter.move("replay", replays=F("replays") + 1)
        row = _send_again(letter)
        DeadLetterEvent.objects.note(letter, Kind.REPLAYED, actor=actor, reason=reason)
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
    all skips the copy. It is resolved or dead when its outcome is known. If the original holds its key, the copy does
    instead.
    Raises InvalidMessage if nothing was changed, and what `publish` raises for a part that cannot be sent.
    """
    _require(reason, "edit")
    changes = _changes(letter, body=body, key=key, headers=headers, tag=tag)
    with transaction.atomic(using=_database()):
        # Not as somebody read it earlier: meanwhile it may have been restored, and so hold its key.
        held = DeadLetter.objects.select_for_update().holding().filter(pk=letter.pk).first() is not None
        letter.move("edit")
        copy = _copy(letter, changes, holds_key=held)
        _take_the_place(copy, letter, actor=actor)
        _send_again(copy)
        names = sorted(changes.keys() - {"raw_key"})
        DeadLetterEvent.objects.note(
            letter, Kind.EDITED, actor=actor, reason=reason, data={"changed": names, "copy": copy.pk}
        )
        DeadLetterEvent.objects.note(
            copy, Kind.EDITED, actor=actor, reason=reason, data={"changed": names, "original": letter.pk}
        )
    return copy


def discard(letter: DeadLetter, *, actor: Actor, reason: str) -> None:
    """Settle the letter without sending it. It stays readable, and can be restored, until retention deletes it.

    If it held its key, the messages behind it are sent now; if others are parked behind it, the next of them is
    handled. A parked letter that is discarded leaves the others where they are.
    """
    _require(reason, "discard")
    with transaction.atomic(using=_database()):
        # Who lets a letter of the key go locks the key, and then the next one, which may be this one.
        parked = letter.order_key and DeadLetter.objects.select_for_update().parked().filter(pk=letter.pk).first()
        _move(letter, "discard", Kind.DISCARDED, actor=actor, reason=reason)
        if not parked:
            release_next(letter, actor=actor)


def restore(letter: DeadLetter, *, actor: Actor, reason: str = "") -> None:
    """Make a discarded letter dead again; or one that is replaying and whose outcome never came.

    A letter that the relay wrote holds its key again if DLQ_HOLD_TOPICS still says so. One of an ordered handler lets
    its key wait again: what is parked stays parked, and what was released meanwhile is handled before it.
    """
    holds = letter.source == Source.RELAY and not letter.group
    holds = holds and must_hold(letter.topic, letter.key, error_class=letter.error_class)
    changes = {"holds_key": True} if holds else {}
    with transaction.atomic(using=_database()):
        _move(letter, "restore", Kind.RESTORED, actor=actor, reason=reason, **changes)
        if letter.order_key is not None:
            WaitingKey.objects.hold(letter.order_key)


def _move(letter: DeadLetter, verb: str, kind: Kind, *, actor: Actor, reason: str, **changes: Any) -> None:
    with transaction.atomic(using=_database()):
        letter.move(verb, **changes)
        DeadLetterEvent.objects.note(letter, kind, actor=actor, reason=reason)


def _send_again(letter: DeadLetter) -> OutboxMessage:
    columns = letter.message_columns() | {"headers": letter.publisher_headers()}
    row = OutboxMessage(letter_id=letter.pk, group=letter.group, **columns)
    OutboxMessage.objects.add([row])
    return row


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
    columns = letter.message_columns() | {"headers": letter.publisher_headers(), **changes}
    check_size(OutboxMessage(**columns))
    return changes


def _copy(letter: DeadLetter, changes: Mapping[str, Any], *, holds_key: bool) -> DeadLetter:
    names = ("source", "group", "handler", "error_class", "error_message", "traceback", "fingerprint", "release")
    columns = {name: getattr(letter, name) for name in names} | letter.message_columns()
    columns |= {"headers": letter.publisher_headers(), "message_id": new_message_id(), **changes}
    columns["holds_key"] = holds_key and columns["key"] is not None
    copy = DeadLetter(
        state=State.REPLAYING,
        replays=1,
        corrects=letter,
        open_key=open_key(letter.group, letter.message_key) if letter.source == Source.CONSUMER else None,
        **columns,
    )
    if letter.order_key is not None:
        copy.order_key = order_key(letter.group, copy.topic, copy.key_bytes)
    copy.save(force_insert=True)
    return copy


def _take_the_place(copy: DeadLetter, letter: DeadLetter, *, actor: Actor) -> None:
    """Let those wait for the copy that wait for the letter; or, if the copy has another key, let them go."""
    keys = {key for key in (letter.order_key, copy.order_key) if key is not None}
    WaitingKey.objects.hold(*keys)
    release_next(letter, actor=actor)


def _require(reason: str, verb: str) -> None:
    if not reason.strip():
        raise ReasonRequired(f"say why you {verb} this letter; the reason stays in its timeline")


def _database() -> str:
    return router.db_for_write(DeadLetter)
