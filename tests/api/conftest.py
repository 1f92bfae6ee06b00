"""People with permissions, and letters for them to look at."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from rest_framework.test import APIClient

from django_dlq.models import DeadLetter, DeadLetterEvent, Kind, Source, State, open_key


class JsonClient(APIClient):
    """A client that sends JSON, and is told of errors as other clients are."""

    default_format = "json"


SignIn = Callable[..., APIClient]
MakeLetter = Callable[..., DeadLetter]

BODY = b'{"order": 7, "email": "ann@example.org", "price": 1.10}'
HEADERS = (
    ("id", b"m-7"),
    ("trace", b"a"),
    ("trace", b"b"),
    ("api-key", b"hunter2"),
    ("blob", b"\xff\x00"),
    ("none", None),
)


@pytest.fixture
def sign_in(db: None) -> SignIn:
    """Return a client of a user who has just these permissions of django_dlq."""

    def make(*codenames: str, name: str = "ann") -> APIClient:
        user = User.objects.create_user(name)
        found = Permission.objects.filter(content_type__app_label="django_dlq", codename__in=codenames)
        assert found.count() == len(codenames)
        user.user_permissions.set(found)
        client = JsonClient()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def root(db: None) -> APIClient:
    """Return a client of a user who may do everything."""
    client = JsonClient()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def make_letter(db: None) -> MakeLetter:
    """Return a function that writes a dead letter with a line in its timeline."""

    def make(**changes: Any) -> DeadLetter:
        key = changes.setdefault("message_key", f"order-{DeadLetter.objects.count()}")
        columns = {
            "state": State.DEAD,
            "source": Source.CONSUMER,
            "message_id": f"id-of-{key}",
            "topic": "orders",
            "key": "7",
            "group": "shipping",
            "handler": "shop.handlers.ship",
            "headers": HEADERS,
            "body": BODY,
            "error_class": "ValueError",
            "error_message": "no such box",
            "traceback": "Traceback (most recent call last): …",
            "fingerprint": "f" * 32,
            "release": "1.0",
            "dependency": "mail",
            "attempts": 1,
            "partition": 3,
            "offset": 12,
            **changes,
        }
        if columns["source"] == Source.CONSUMER and columns["state"] not in (State.RESOLVED, State.DISCARDED):
            columns["open_key"] = open_key(columns["group"], columns["message_key"])
        letter = DeadLetter.objects.create(**columns)
        DeadLetterEvent.objects.create(letter=letter, kind=Kind.FAILED, actor_name="consumer", data={"attempt": 1})
        return letter

    return make


@pytest.fixture
def letter(make_letter: MakeLetter) -> DeadLetter:
    """Return one dead letter."""
    return make_letter()
