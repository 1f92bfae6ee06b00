"""With DLQ_LOCK_KEYS, two transactions that publish one key get their ids in the order in which they commit."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_dlq import outbox
from django_dlq.models import OutboxMessage
from tests.postgresql.waiting import wait_until_blocking_somebody

SPAN = timedelta(hours=1)


def publish_in_a_thread(topic: str, key: str | None, **options: object) -> threading.Thread:
    def publish() -> None:
        with transaction.atomic():
            outbox.publish(topic, "second", key=key, **options)
        connection.close()

    thread = threading.Thread(target=publish)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("options", [{}, {"delay": SPAN}])
def test_who_publishes_a_key_waits_for_who_published_it_before(settings, options) -> None:
    settings.DLQ_LOCK_KEYS = True
    with transaction.atomic():
        outbox.publish("orders", "other", key="8")
        outbox.publish("orders", "first", key="7")
        thread = publish_in_a_thread("orders", "7", **options)
        wait_until_blocking_somebody()
        outbox.publish("orders", "first, again", key="7")
    thread.join(10)

    bodies = [row.body_bytes for row in OutboxMessage.objects.filter(key="7").order_by("id")]
    assert bodies == [b"first", b"first, again", b"second"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("lock", "topic", "key"),
    [(True, "orders", "8"), (True, "bills", "7"), (True, "orders", None), (False, "orders", "7")],
)
def test_nobody_else_waits_and_nobody_at_all_without_the_setting(settings, lock, topic, key) -> None:
    settings.DLQ_LOCK_KEYS = lock
    with transaction.atomic():
        outbox.publish("orders", "first", key="7")
        outbox.publish("orders", "first")
        thread = publish_in_a_thread(topic, key)
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.django_db
def test_many_keys_are_locked_once_each_and_in_one_order_whoever_comes(settings) -> None:
    settings.DLQ_LOCK_KEYS = True
    messages = [outbox.Message("orders", "", key=str(n % 20)) for n in range(100)]
    with CaptureQueriesContext(connection) as captured:
        outbox.publish_many(messages)
        outbox.publish_many(messages[::-1])
    first, second = [query["sql"] for query in captured.captured_queries if "advisory" in query["sql"]]

    assert first == second
    assert first.count(",") == 19
