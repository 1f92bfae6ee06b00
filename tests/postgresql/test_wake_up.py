"""Who publishes wakes the relays after the commit, seldom, and at nobody's cost."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import TestCase

from django_dlq import deadletters, outbox
from django_dlq.models import OutboxMessage, wake_up
from tests.calls import Calls, listening, terminate
from tests.letters import consumer_letter

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(settings, monkeypatch) -> Clock:
    """Turn calls on, and let time pass as a test wants; nobody has called yet."""
    settings.DLQ_RELAY_NOTIFY = True
    wake_up._caller.cache_clear()
    clock = Clock()
    monkeypatch.setattr(wake_up, "time", clock)
    return clock


@pytest.fixture
def calls() -> Iterator[Calls]:
    with listening() as calls:
        yield calls


def publish(*, delay: timedelta | None = None) -> None:
    with transaction.atomic():
        outbox.publish("orders", "x", delay=delay)


def test_a_transaction_calls_once_after_its_commit(calls) -> None:
    with transaction.atomic():
        outbox.publish("orders", "1")
        with transaction.atomic():
            outbox.publish("orders", "2")
        outbox.publish_many([outbox.Message("orders", str(n)) for n in range(10)])
        assert len(connection.run_on_commit) == 1
        assert calls.count() == 0

    assert calls.count() == 1


def publish_and_fail() -> None:
    with suppress(ZeroDivisionError), transaction.atomic():
        outbox.publish("orders", "x")
        raise ZeroDivisionError


def test_what_rolls_back_does_not_call(calls) -> None:
    publish_and_fail()
    with transaction.atomic():
        publish_and_fail()

    assert calls.count() == 0


def test_what_is_published_after_a_part_rolled_back_calls(calls) -> None:
    with transaction.atomic():
        publish_and_fail()
        outbox.publish("orders", "2")

    assert calls.count() == 1


def test_a_replay_calls(calls) -> None:
    deadletters.replay(consumer_letter(), actor="ana")

    assert calls.count() == 1


@pytest.mark.parametrize("notify", [True, False])
def test_nobody_is_called_for_what_is_delayed_nor_without_the_setting(settings, calls, notify) -> None:
    settings.DLQ_RELAY_NOTIFY = notify
    publish(delay=HOUR)
    if not notify:
        publish()

    assert calls.count() == 0


def test_among_delayed_messages_one_that_is_not_is_enough(calls) -> None:
    with transaction.atomic():
        outbox.publish_many([outbox.Message("orders", "1", delay=HOUR), outbox.Message("orders", "2")])

    assert calls.count() == 1


def test_a_busy_process_calls_once_in_20_ms_however_many_threads_publish(clock, calls) -> None:
    def publish_often() -> None:
        for _ in range(20):
            publish()
        connection.close()

    for _ in range(3):
        threads = [threading.Thread(target=publish_often) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert calls.count() == 1
        clock.now += 0.019
        publish()
        assert calls.count() == 0
        clock.now += 0.001

    assert OutboxMessage.objects.count() == 3 * (4 * 20 + 1)


def test_a_call_leaves_the_session_as_it_was(calls) -> None:
    publish()

    assert calls.count() == 1
    assert lock_timeout() == "0"


def lock_timeout() -> str:
    """Return what the session's setting is."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout')")
        return str(cursor.fetchone()[0])


def test_a_call_that_fails_hurts_nobody_and_is_not_repeated_at_once(clock, calls, caplog) -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: terminate(connection.connection.info.backend_pid))
        outbox.publish("orders", "1")
    connection.close()  # as Django does at the end of a request
    assert "Error calling Caller.call in on_commit()" in caplog.text

    clock.now += 9
    publish()
    assert calls.count() == 0
    clock.now += 1
    publish()
    assert calls.count() == 1
    assert OutboxMessage.objects.count() == 3


def test_nobody_is_called_from_inside_a_transaction_such_as_that_of_a_test() -> None:
    with transaction.atomic():
        with TestCase.captureOnCommitCallbacks(execute=True) as hooks:
            publish()
        assert lock_timeout() == "0"
    assert len(hooks) == 1
