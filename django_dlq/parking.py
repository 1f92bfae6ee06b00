"""Let an ordered handler take the messages of a key one after the other, through failures too.

Where a message of the key has failed, the later ones are parked behind its letter.
"""

from collections.abc import Sequence
from typing import Literal

from django.db import router, transaction

from django_dlq import inbox
from django_dlq.letter_columns import received_columns
from django_dlq.message import ReceivedMessage
from django_dlq.models import (
    DeadLetter,
    DeadLetterEvent,
    InboxMessage,
    Kind,
    Source,
    State,
    WaitingKey,
    order_key,
)
from django_dlq.models.parked import first_active, release_first
from django_dlq.registry import Handler, HandlerFunction

Turn = Literal["handled", "duplicate", "parked"]


def handle_in_turn(message: ReceivedMessage, handler: Handler, function: HandlerFunction) -> Turn:
    """Do what `inbox.handle_once` does if it is the message's turn, or park it.

    Where the handler is not ordered, or the message has no key, it is always its turn.

    While nothing of the key is open this costs no statement more than `handle_once`. Whether something is, is asked
    after all earlier messages of the key are settled: those of one key are handled one after the other. So the answer
    may be a moment old.
    """
    key = order_key(message.group, message.record.topic, message.record.key) if handler.ordered else None
    if key is not None:
        using = router.db_for_write(InboxMessage)
        with transaction.atomic(using=using):
            if InboxMessage.objects.claim_in_turn(message, message.group, key):
                function(message)
                inbox.expect_sound_transaction(using)
                return "handled"
            if InboxMessage.objects.is_done(message, message.group):
                return "duplicate"
        if _park(message, handler, key):
            return "parked"
    return "handled" if inbox.handle_once(message, message.group, function) else "duplicate"


def whose_keys_wait(messages: Sequence[ReceivedMessage]) -> list[bool]:
    """Tell of each of these messages whether something is open of its key; with one query."""
    keys = [order_key(message.group, message.record.topic, message.record.key) for message in messages]
    waiting = WaitingKey.objects.among({key for key in keys if key is not None})
    return [key in waiting for key in keys]


def _park(message: ReceivedMessage, handler: Handler, key: str) -> bool:
    """Store a message that has to wait; return False if it need not, or not any more.

    It waits for nothing if its own letter is what others wait for: it is delivered once more, or replayed.
    """
    with transaction.atomic(using=router.db_for_write(DeadLetter)):
        waiting = WaitingKey.objects.lock(key)
        if waiting is None:
            return False
        if first_active(key) is None and not release_first(waiting, actor=Source.CONSUMER):
            return False  # somebody has deleted letters by hand, and nothing may wait for them for ever
        own = DeadLetter.objects.of_message(message.group, message.message_key).first()
        if own is not None:
            return own.state == State.PARKED
        columns = received_columns(message, handler) | {"order_key": key}
        letter = DeadLetter.objects.create(state=State.PARKED, **columns)
        DeadLetterEvent.objects.note(letter, Kind.PARKED, actor=letter.source, data={"behind": first_active(key)})
    return True
