"""What a person may do about a half message: commit it, roll it back, or let its checker be asked again.

Each act is one transaction, needs a reason, and keeps the name of who did it.

    decisions.commit(half, actor=request.user, reason="the gateway's statement has the charge")
"""

from django.db import transaction

from django_dlq.exceptions import IllegalTransition, ReasonRequired
from django_dlq.models import Actor, Answer, DecidedBy, HalfMessage, HalfMessageCheck, OutboxMessage

__all__ = ["ask_again", "commit", "rollback"]


def commit(half: HalfMessage, *, actor: Actor, reason: str) -> OutboxMessage:
    """Let the message be sent; return its outbox row.

    Raises DecidedOtherwise if it was rolled back, IllegalTransition if it was committed before.
    """
    _require(reason)
    row = half.commit(by=DecidedBy.PERSON, actor_name=_name(actor), reason=reason)
    if row is None:
        raise IllegalTransition(f"half message {half.pk} was committed before")
    return row


def rollback(half: HalfMessage, *, actor: Actor, reason: str) -> None:
    """Let the message never be sent.

    Raises DecidedOtherwise if it was committed, IllegalTransition if it was rolled back before.
    """
    _require(reason)
    if not half.rollback(by=DecidedBy.PERSON, actor_name=_name(actor), reason=reason):
        raise IllegalTransition(f"half message {half.pk} was rolled back before")


def ask_again(half: HalfMessage, *, actor: Actor, reason: str) -> None:
    """Let the checker be asked again, as often as the first time; raise IllegalTransition for one that is decided.

    For when a checker, or what it asks, was out of order.
    """
    _require(reason)
    with transaction.atomic(using=half._state.db):
        half.ask_again()
        HalfMessageCheck.objects.using(half._state.db).create(
            half=half, answer=Answer.ASKED_AGAIN, owner=_name(actor), error_message=reason.strip()
        )


def _require(reason: str) -> None:
    if not reason.strip():
        raise ReasonRequired("say why; the reason stays with the half message")


def _name(actor: Actor) -> str:
    return actor if isinstance(actor, str) else actor.get_username()
