"""Who no longer holds a lane moves and deletes nothing of it."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from django_dlq import outbox
from django_dlq.models import OutboxMessage, PublishedMessage, RelayLane, postgresql
from django_dlq.models.postgresql import Fence
from tests.postgresql.waiting import wait_until_blocking_somebody

MINE, YOURS = 3, 7
Complete = Callable[[list[OutboxMessage], Fence | None], int]


def move(rows: list[OutboxMessage], fence: Fence | None) -> int:
    places = [(row.pk, 0, row.pk) for row in rows]
    return postgresql.move(OutboxMessage, PublishedMessage, places, using="default", fence=fence)


def delete(rows: list[OutboxMessage], fence: Fence | None) -> int:
    return postgresql.delete(OutboxMessage, [row.pk for row in rows], using="default", fence=fence)


def rows_of_each_lane() -> list[OutboxMessage]:
    rows = [
        OutboxMessage(topic="t", message_id=str(n), message_key=str(n), lane=(MINE, YOURS)[n % 2]) for n in range(300)
    ]
    OutboxMessage.objects.bulk_create(rows)  # which leaves the lane as it is
    return rows


def lanes_left() -> set[int]:
    return set(OutboxMessage.objects.values_list("lane", flat=True))


@pytest.fixture
def lanes() -> None:
    RelayLane.objects.all().delete()
    RelayLane.objects.bulk_create(
        [RelayLane(lane=MINE, owner="me", epoch=5), RelayLane(lane=YOURS, owner="you", epoch=5)]
    )


both_ways = pytest.mark.parametrize("complete", [move, delete])


@pytest.mark.django_db
@both_ways
def test_only_rows_of_lanes_that_are_held_in_that_epoch_leave_the_outbox(complete: Complete, lanes: None) -> None:
    rows = rows_of_each_lane()

    assert complete(rows, Fence("me", [MINE, YOURS], [4, 5])) == 0
    assert complete(rows, Fence("me", [], [])) == 0
    assert complete(rows, Fence("nobody", [MINE, YOURS], [5, 5])) == 0
    assert not PublishedMessage.objects.exists()
    assert complete(rows, Fence("me", [MINE, YOURS], [5, 5])) == 150
    assert lanes_left() == {YOURS}
    assert complete(rows, Fence("you", [YOURS], [5])) == 150
    assert PublishedMessage.objects.count() == (300 if complete is move else 0)


@pytest.mark.django_db
@both_ways
def test_without_a_fence_the_number_of_rows_that_were_there_is_told(complete: Complete) -> None:
    with transaction.atomic():
        rows = list(outbox.publish_many([outbox.Message("t", "")] * 3))

    assert complete(rows[:2], None) == 2
    assert complete(rows, None) == 1
    assert complete(rows, None) == 0


@pytest.mark.django_db
@both_ways
def test_nothing_confirmed_is_nothing_moved(complete: Complete, lanes: None) -> None:
    assert complete([], None) == complete([], Fence("me", [MINE], [5])) == 0


@pytest.mark.django_db(transaction=True)
@both_ways
def test_a_completion_waits_for_a_take_over_and_then_does_nothing(complete: Complete, lanes: None) -> None:
    row = OutboxMessage.objects.create(topic="t", message_id="1", message_key="1")
    OutboxMessage.objects.update(lane=MINE)
    done: list[int] = []

    def complete_in_a_thread() -> None:
        done.append(complete([row], Fence("me", [MINE], [5])))
        connection.close()

    thread = threading.Thread(target=complete_in_a_thread)
    with transaction.atomic():
        RelayLane.objects.filter(lane=MINE).update(owner="you", epoch=6)
        thread.start()
        wait_until_blocking_somebody()
        assert not done
    thread.join(10)

    assert done == [0]
    assert OutboxMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
@both_ways
def test_a_take_over_waits_for_a_completion(complete: Complete, lanes: None) -> None:
    row = OutboxMessage.objects.create(topic="t", message_id="1", message_key="1")
    OutboxMessage.objects.update(lane=MINE)
    seen: list[bool] = []

    def take_over() -> None:
        RelayLane.objects.filter(lane=MINE).update(owner="you", epoch=6)
        seen.append(OutboxMessage.objects.exists())
        connection.close()

    thread = threading.Thread(target=take_over)
    with transaction.atomic():
        assert complete([row], Fence("me", [MINE], [5])) == 1
        thread.start()
        wait_until_blocking_somebody()
    thread.join(10)

    assert seen == [False]
