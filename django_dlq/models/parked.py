"""What waits in a group behind a letter of its key, and goes on when that is settled."""

from typing import Final

from django.db.models import Exists

from django_dlq.models.actor import Actor
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.dead_letter import DeadLetter, State
from django_dlq.models.dead_letter_event import DeadLetterEvent, Kind
from django_dlq.models.waiting_key import WaitingKey

MOST_COUNTED: Final = 1_000
"""Letters behind one that are counted."""


def release_next(letter: DeadLetter, *, actor: Actor) -> None:
    """Let the message that waits behind a letter be handled now that this is settled, in the same transaction.

    One at a time: the others are parked until that one is settled too. While another letter of the key is active, as
    when somebody restored one, all of them wait for it.
    """
    if letter.order_key is None:
        return
    key = WaitingKey.objects.lock(letter.order_key)
    if key is not None:
        release_first(key, actor=actor, after=letter.pk)


def release_first(key: WaitingKey, *, actor: Actor, after: int | None = None) -> bool:
    """Let the first message that is parked for a key be handled, unless a letter of it is active; for whoever locks it.

    Return False if there is none of either: then the key waits no longer.
    """
    letters = DeadLetter.objects.in_order(key.order_key)
    # Locking, so that MySQL reads what is there now and not what was when this transaction began.
    parked = letters.parked().filter(~Exists(letters.active())).select_for_update()
    first = parked.defer("body", "traceback").first()
    if first is None:
        if first_active(key.order_key) is not None:
            return True
        key.delete()
        return False
    first.move("release", reread=False, next_attempt_at=DatabaseNow())
    DeadLetterEvent.objects.note(first, Kind.RELEASED, actor=actor, data={"after": after} if after else {})
    return True


def first_active(order_key: str) -> int | None:
    """Return the number of the letter that what is parked for a key waits for; None if it waits for nothing."""
    active = DeadLetter.objects.in_order(order_key).active()
    return active.order_by("pk").values_list("pk", flat=True).first()


def let_go(letter: DeadLetter, *, actor: Actor) -> None:
    """Let nobody wait for a letter any more, although it is open."""
    if letter.order_key is not None:
        DeadLetter.objects.filter(pk=letter.pk).update(order_key=None)
        release_next(letter, actor=actor)
        letter.order_key = None


def letter_before(letter: DeadLetter) -> int | None:
    """Return the number of the letter that a parked one waits for; None for all others."""
    if letter.state != State.PARKED or letter.order_key is None:
        return None
    return first_active(letter.order_key)


def count_parked(letter: DeadLetter) -> int:
    """Return how many messages wait in the letter's group until it is settled, counted up to MOST_COUNTED + 1.

    Behind a parked letter itself are those that were parked after it.
    """
    if letter.order_key is None or not letter.is_open:
        return 0
    parked = DeadLetter.objects.in_order(letter.order_key).parked().order_by()
    if letter.state == State.PARKED:
        parked = parked.filter(pk__gt=letter.pk)
    return parked[: MOST_COUNTED + 1].count()
