"""The history can be partitioned as the manual says, and nothing else notices."""

import re
from datetime import timedelta

import pytest
from django.db import connection

from django_dlq import outbox
from django_dlq.models import OutboxMessage, PublishedMessage, in_future
from django_dlq.retention import Retention
from tests.docs.pages import DOCS

PAGE = DOCS / "how-to" / "partition-the-history.md"
LIMIT = 10_000_000


def run(block: str) -> list[object]:
    """Run the statements of a block; return what those that ask were told."""
    told = []
    with connection.cursor() as cursor:
        for statement in block.split(";"):
            cursor.execute(statement)
            if cursor.description:
                told += cursor.fetchone()
    return told


def publish_and_complete(first_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('django_dlq_outboxmessage_id_seq', %s, false)", [first_id])
    row = outbox.publish("t", str(first_id))
    assert OutboxMessage.objects.complete([(row.pk, 0, 0)]) == 1


def parts() -> dict[str, list[int]]:
    """Return the ids in each part of the history."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text, outbox_id FROM django_dlq_publishedmessage ORDER BY outbox_id")
        found: dict[str, list[int]] = {}
        for name, pk in cursor.fetchall():
            found.setdefault(name.removeprefix("django_dlq_published_"), []).append(pk)
        return found


@pytest.mark.django_db
def test_the_history_is_partitioned_as_the_manual_says() -> None:
    look, divide, go_on, drop = re.findall(r"```postgresql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    publish_and_complete(5)
    assert run(look) == [5]
    run(divide)
    publish_and_complete(LIMIT)
    publish_and_complete(2 * LIMIT - 1)
    run(go_on)
    publish_and_complete(2 * LIMIT)
    publish_and_complete(9 * LIMIT)
    assert parts() == {"0": [5], "1": [LIMIT, 2 * LIMIT - 1], "2": [2 * LIMIT], "rest": [9 * LIMIT]}

    PublishedMessage.objects.filter(pk=5).update(published_at=in_future(-timedelta(days=8)))
    assert run(drop) == [True]
    assert "0" not in parts()


@pytest.mark.django_db
def test_retention_walks_through_the_parts() -> None:
    _, divide, *_ = re.findall(r"```postgresql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    publish_and_complete(5)
    run(divide)
    publish_and_complete(LIMIT)
    PublishedMessage.objects.update(
        created_at=in_future(-timedelta(days=9)), published_at=in_future(-timedelta(days=8))
    )
    publish_and_complete(LIMIT + 1)

    assert Retention().run_once() == 2
    assert parts() == {"1": [LIMIT + 1]}
