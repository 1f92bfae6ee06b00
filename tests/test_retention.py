from datetime import timedelta
from itertools import count

import pytest

from django_dlq import retention
from django_dlq.models import (
    DeadLetter,
    DeadLetterEvent,
    InboxMessage,
    Kind,
    OutboxMessage,
    PublishedMessage,
    State,
    in_future,
)
from django_dlq.retention import Retention
from tests.letters import consumer_letter

pytestmark = pytest.mark.django_db

numbers = count(1)


def published(days):
    return PublishedMessage.objects.create(
        outbox_id=next(numbers), created_at=in_future(timedelta()), published_at=in_future(-timedelta(days=days))
    )


def handled(days, key="1"):
    return InboxMessage.objects.create(
        group="g", message_key=key, message_id="1", topic="t", handled_at=in_future(-timedelta(days=days))
    )


def settled(days, state=State.RESOLVED, **columns):
    return consumer_letter(state, closed_at=in_future(-timedelta(days=days)), **columns)


def test_what_is_older_than_its_retention_is_deleted():
    young = {published(6), handled(89, "young"), settled(29), settled(29, State.DISCARDED)}
    published(8)
    handled(91)
    settled(31)
    settled(31, State.DISCARDED)

    assert Retention().run_once() == 4
    left = {*PublishedMessage.objects.all(), *InboxMessage.objects.all(), *DeadLetter.objects.all()}
    assert left == young
    assert Retention().run_once() == 0


@pytest.mark.parametrize("state", [State.DEAD, State.RETRYING, State.REPLAYING])
def test_an_open_letter_is_never_deleted_however_old(state):
    letter = settled(9999, state, first_failed_at="2000-01-01T00:00:00Z", last_failed_at="2000-01-01T00:00:00Z")

    assert Retention().run_once() == 0
    assert DeadLetter.objects.get() == letter


def test_the_outbox_is_never_pruned():
    OutboxMessage.objects.create(topic="orders", created_at="2000-01-01T00:00:00Z")

    assert Retention().run_once() == 0
    assert OutboxMessage.objects.exists()


@pytest.mark.parametrize("setting", ["DLQ_PUBLISHED_RETENTION", "DLQ_INBOX_RETENTION", "DLQ_CLOSED_RETENTION"])
def test_none_keeps_for_ever_and_the_others_are_pruned(settings, setting):
    rows = {
        "DLQ_PUBLISHED_RETENTION": published(9999),
        "DLQ_INBOX_RETENTION": handled(9999),
        "DLQ_CLOSED_RETENTION": settled(9999),
    }
    setattr(settings, setting, None)

    assert Retention().run_once() == 2
    assert type(rows[setting]).objects.get() == rows[setting]


def test_rows_are_deleted_in_steps_the_oldest_first(monkeypatch):
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 2)
    rows = [published(8) for _ in range(5)]

    assert Retention().run_once() == 2
    assert list(PublishedMessage.objects.order_by("pk")) == rows[2:]
    assert [Retention().run_once() for _ in range(3)] == [2, 1, 0]


def test_a_letter_goes_with_its_timeline_and_leaves_its_correction():
    original = settled(31)
    DeadLetterEvent.objects.note(original, Kind.EDITED, actor="ana")
    copy = consumer_letter(State.DEAD, corrects=original)
    Retention().run_once()

    copy.refresh_from_db()
    assert (copy.corrects, DeadLetterEvent.objects.count()) == (None, 0)


def test_closing_has_nothing_to_give_back():
    machine = Retention()
    machine.close()
    published(8)
    assert machine.run_once() == 1
