"""Who parks a message and who settles what is before it, at the same moment."""

import pytest
from django.db import transaction

from django_dlq import consumer, deadletters, inbox
from django_dlq.message import ReceivedMessage
from django_dlq.models import DeadLetter, State, WaitingKey
from tests.consuming.shipping import boxes, pack, record
from tests.postgresql.waiting import wait_until_blocking_somebody
from tests.threads import in_thread

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("first_is_dead")]

GROUP = "shipping"


def deliver(*numbers: int, key: bytes = b"A") -> None:
    for number in numbers:
        consumer.settle(GROUP, record(number, key))


def discard(number: int) -> None:
    deadletters.discard(letter(number), actor="ana", reason="a test order")


def letter(number: int) -> DeadLetter:
    return DeadLetter.objects.get(message_key=str(number))


def states() -> dict[str, str]:
    return dict(DeadLetter.objects.values_list("message_key", "state"))


@pytest.fixture
def first_is_dead(registry: object) -> None:
    """Serve the group with an ordered handler that rejects the first message, and give it that."""

    @inbox.handler("orders", group=GROUP, ordered=True)
    def handle(message: ReceivedMessage) -> None:
        if message.message_key == "1":
            raise inbox.Reject("no")
        pack(message)

    deliver(1)


def test_what_comes_while_the_letter_before_it_is_settled_waits_for_that_and_is_handled() -> None:
    with transaction.atomic():
        discard(1)
        join = in_thread(deliver, 2)
        wait_until_blocking_somebody()
        assert boxes() == []
    join()
    assert boxes() == [2]
    assert states() == {"1": State.DISCARDED}
    assert not WaitingKey.objects.exists()


def test_what_is_parked_at_this_moment_is_released_by_who_settles_the_letter_before_it() -> None:
    with transaction.atomic():
        deliver(2)  # in savepoints of this transaction, which keeps what they lock
        join = in_thread(discard, 1)
        wait_until_blocking_somebody()
    join()
    assert states() == {"1": State.DISCARDED, "2": State.RETRYING}


def test_who_discards_a_parked_letter_and_who_settles_the_one_before_it_do_not_wait_in_a_circle() -> None:
    deliver(2, 3)
    with transaction.atomic():
        DeadLetter.objects.select_for_update().get(message_key="2")  # as the discard begins
        join = in_thread(discard, 1)
        wait_until_blocking_somebody()
        discard(2)
    join()
    assert states() == {"1": State.DISCARDED, "2": State.DISCARDED, "3": State.RETRYING}


def test_who_parks_does_not_wait_for_a_retry_of_what_is_before_it() -> None:
    with transaction.atomic():
        DeadLetter.objects.select_for_update().get()  # as while its handler runs
        in_thread(deliver, 2)()
    assert states() == {"1": State.DEAD, "2": State.PARKED}
