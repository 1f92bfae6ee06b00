from concurrent.futures import Future

import pytest
from django.db import OperationalError

from django_dlq import outbox
from django_dlq.exceptions import LeaseLost
from django_dlq.models import OutboxMessage, PublishedMessage
from django_dlq.models.outbox_message import OutboxQuerySet
from django_dlq.models.outbox_reading import Reading, Scope
from django_dlq.relaying import completions
from django_dlq.relaying.completions import Completions
from django_dlq.relaying.share import Share
from django_dlq.relaying.stages import Inline

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def share():
    share = Share("me")
    share.beat()
    share.take()
    yield share
    share.leave()


def published(*keys):
    """Publish messages with these keys, and return them as the relay reads them."""
    from django.db import transaction

    with transaction.atomic():
        for key in keys:
            outbox.publish("orders", "", key=key)
    return Reading(Scope(), 10, using="default").page(0).rows


def places_of(rows):
    return [(row.id, 0, number) for number, row in enumerate(rows)]


class GaveWay(Exception):
    """What the driver raises when the database has chosen whose transaction fails."""

    sqlstate = "40P01"


class Held(Inline):
    """A stage whose work ends when the test says so."""

    def __init__(self):
        self.futures = []

    def submit(self, work, *arguments):
        self.futures.append(future := Future())
        self.end = lambda: future.set_result(work(*arguments))
        return future


def test_what_is_confirmed_moves_to_the_history_and_is_told_of(share):
    rows = published("a", "b")
    batches = Completions(share, Inline(), type(share))
    batches.begin(rows, places_of(rows))

    assert not batches.settle(0)
    assert batches.left == [row.id for row in rows]
    assert not OutboxMessage.objects.exists()
    assert list(PublishedMessage.objects.order_by("pk").values_list("key", "offset")) == [("a", 0), ("b", 1)]


def test_so_many_batches_may_be_on_their_way(share):
    rows = published("a")
    stage = Held()
    batches = Completions(share, stage, type(share))
    batches.begin(rows, places_of(rows))
    assert not batches.settle(1)
    assert (len(batches), batches.left) == (1, [])

    stage.end()
    assert not batches.settle(1)  # it is noticed as soon as it has ended
    assert (len(batches), batches.left) == (0, [rows[0].id])


def test_the_batch_of_a_lane_that_is_lost_stays_in_the_outbox(share):
    rows = published("a")
    lost = Completions(share, Inline(), type(share))
    share.leave()
    heir = Share("another")
    heir.beat()
    heir.take()
    lost.begin(rows, places_of(rows))

    with pytest.raises(LeaseLost):
        lost.settle(0)
    assert OutboxMessage.objects.count() == 1
    lost.forget()
    assert len(lost) == 0
    heir.leave()


def test_a_completion_that_meets_another_transaction_is_made_again(share, monkeypatch):
    rows = published("a")
    moves = []
    as_ever = OutboxQuerySet.complete

    def give_way_once(self, *arguments):
        moves.append(arguments)
        if len(moves) == 1:
            raise OperationalError("deadlock detected") from GaveWay
        return as_ever(self, *arguments)

    monkeypatch.setattr(OutboxQuerySet, "complete", give_way_once)
    batches = Completions(share, Inline(), type(share))
    batches.begin(rows, places_of(rows))
    batches.settle(0)

    assert len(moves) == 2
    assert moves[0] == moves[1]
    assert PublishedMessage.objects.count() == 1


def test_that_a_replay_was_among_them_is_said(share, monkeypatch):
    (row,) = published("a")
    resolved = []
    monkeypatch.setattr(completions.burial, "resolve_replays", resolved.append)
    batches = Completions(share, Inline(), type(share))
    batches.begin([row._replace(letter_id=7)], places_of([row]))

    assert batches.settle(0)
    assert resolved == [[7]]


def test_who_insists_on_his_lanes_looks_at_the_other_relays_as_soon_as_ever(share):
    share.insist(type(share))

    assert share.is_beat_due
    assert share.lasts > share.patience > 0
