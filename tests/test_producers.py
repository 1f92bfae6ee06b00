"""What the database decides when a producer asks twice at once."""

import threading

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection

from django_dlq import producers
from django_dlq.exceptions import IdempotencyKeyReused
from django_dlq.message import Message
from django_dlq.models import HalfMessage, Producer

pytestmark = pytest.mark.django_db(transaction=True)

REQUESTS = 8


@pytest.fixture
def producer() -> Producer:
    user = User.objects.create_user("billing")
    return Producer.objects.create(name="billing", user=user, topics=["*"], callback_url="https://billing.example/")


def test_of_requests_at_the_same_moment_with_one_idempotency_key_one_prepares(producer: Producer) -> None:
    ready, found = threading.Barrier(REQUESTS), []

    def request() -> None:
        try:
            ready.wait(20)
            found.append(producers.prepare(producer, Message("payments", {"a": 1}), idempotency_key="k-1"))
        finally:
            connection.close()

    threads = [threading.Thread(target=request) for _ in range(REQUESTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert HalfMessage.objects.count() == 1
    assert sorted(is_new for _, is_new in found) == [False] * (REQUESTS - 1) + [True]
    assert {half.pk for half, _ in found} == {HalfMessage.objects.get().pk}


def test_what_the_database_refuses_for_another_reason_is_not_hidden(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = producers.prepare(producer, Message("payments", {}))
    monkeypatch.setattr("django_dlq.composing.new_message_id", lambda: first.message_id)
    with pytest.raises(IntegrityError):
        producers.prepare(producer, Message("payments", {}), idempotency_key="k-1")


def test_a_row_that_came_between_the_look_and_the_insert_is_found_by_the_database(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = producers.prepare(producer, Message("payments", {"a": 1}), idempotency_key="k-1")
    real, looks = producers._earlier, []

    def blind(row: HalfMessage, message: Message) -> HalfMessage | None:
        looks.append(row)
        return None if len(looks) % 2 else real(row, message)

    monkeypatch.setattr(producers, "_earlier", blind)
    assert producers.prepare(producer, Message("payments", {"a": 1}), idempotency_key="k-1") == (first, False)
    with pytest.raises(IdempotencyKeyReused):
        producers.prepare(producer, Message("payments", {"a": 2}), idempotency_key="k-1")
