"""A relay has several connections, and none of them waits for another that waits for it."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction

from django_dlq.models import RelayLane
from tests.postgresql.waiting import wait_until_blocking_somebody

LOW, HIGH = 3, 7
LEASE = timedelta(seconds=30)
SHARE = "SELECT lane FROM django_dlq_relaylane WHERE lane = %s FOR SHARE"


@pytest.fixture
def lanes() -> None:
    """Give two lanes that lie in another order than that of their numbers, as after a while all do."""
    RelayLane.objects.all().delete()
    for lane in (HIGH, LOW):
        RelayLane.objects.create(lane=lane, owner="me", epoch=5)


def fence() -> None:
    with transaction.atomic():
        RelayLane.objects.fence("me", {HIGH: 5, LOW: 5})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "change",
    [
        lambda: RelayLane.objects.keep("me", LEASE),
        lambda: RelayLane.objects.give_back("me", [HIGH, LOW]),
        fence,
    ],
    ids=["keep", "give_back", "fence"],
)
def test_lanes_are_locked_in_the_order_in_which_a_completion_locks_them(
    lanes: None, change: Callable[[], None]
) -> None:
    done: list[bool] = []

    def change_in_a_thread() -> None:
        change()
        done.append(True)
        connection.close()

    thread = threading.Thread(target=change_in_a_thread)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SHARE, [LOW])  # as far as a completion has come
        thread.start()
        wait_until_blocking_somebody()
        cursor.execute("SET LOCAL lock_timeout = '5s'")
        cursor.execute(SHARE, [HIGH])
        assert not done
    thread.join(10)

    assert done
