"""Rows for the tests of the admin, written as the machines write them."""

from itertools import count
from typing import Any

from django.contrib.auth.models import Permission, User

from django_dlq.models import DeadLetter, DeadLetterEvent, Kind, Source, State, key_columns

numbers = count(1)

EVERY_VERB = ("replay", "edit", "discard", "restore", "unmask")


def letter(*, state: State = State.DEAD, key: bytes | None = b"customer-7", **columns: Any) -> DeadLetter:
    """Write a dead letter of a consumer, with its first failure in the timeline."""
    number = next(numbers)
    columns = {
        "message_id": f"id-{number}",
        "message_key": f"order-{number}",
        "topic": "orders",
        "tag": "paid",
        "headers": (("id", f"id-{number}".encode()), ("trace", b"abc"), ("trace", b"def")),
        "body": b'{"order":7,"email":"zoe@example.com"}',
        "source": Source.CONSUMER,
        "group": "shipping",
        "handler": "shop.handlers.ship",
        "error_class": "shop.logistics.LogisticsDown",
        "error_message": "no answer from logistics\nsecond line",
        "traceback": "Traceback (most recent call last):\n  ...\n",
        "fingerprint": "f" * 32,
        "attempts": 1,
    } | columns
    row = DeadLetter.objects.create(state=state, **key_columns(key), **columns)
    data = {
        "attempt": 1,
        "error_class": row.error_class,
        "error_message": row.error_message,
        "traceback": row.traceback,
    }
    DeadLetterEvent.objects.note(row, Kind.FAILED, actor=row.source, data=data)
    row.refresh_from_db()
    return row


def person(*verbs: str, view: bool = True, name: str = "night") -> User:
    """Make a member of staff who may see dead letters, and do these things to them."""
    user = User.objects.create_user(f"{name}-{next(numbers)}", is_staff=True)
    names = [f"{verb}_deadletter" for verb in verbs] + ["view_deadletter"] * view
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return user
