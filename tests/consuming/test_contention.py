"""Transactions that are in each other's way, on real databases."""

import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection, transaction

from django_dlq import contention, inbox
from django_dlq.contention import FIRST_REST, MOST_TIMES
from django_dlq.models import DeadLetter, InboxMessage, State, in_future
from django_dlq.retries import Retries
from tests.consuming.shipping import SECONDS, boxes, pack, record, run_until
from tests.letters import consumer_letter
from tests.shop.models import Box
from tests.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)

SHORT = {
    "postgresql": "SET {}lock_timeout = '100ms'",
    "mysql": "SET {}innodb_lock_wait_timeout = 1",
}
RAISE = {
    "postgresql": "DO $$ BEGIN RAISE EXCEPTION 'no luck' USING ERRCODE = '40001'; END $$",
    "mysql": "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'no luck'",
}


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_two_handlers_in_a_deadlock_are_both_done_and_pay_no_attempt(member, broker):
    first, second = (Box.objects.create(order=str(number)).pk for number in (100, 101))
    met, calls = threading.Barrier(2), []

    def handle(message):
        calls.append(message.attempt)
        mine, other = (first, second) if message.message_key == "0" else (second, first)
        Box.objects.filter(pk=mine).update(order=100)
        if len(calls) <= 2:
            met.wait(SECONDS)
        Box.objects.filter(pk=other).update(order=101)
        pack(message)

    broker.incoming += [record(0, b"a"), record(1, b"b")]
    shipping = member(handle, concurrency=2)
    run_until(lambda: {0, 1} <= set(boxes()), shipping)

    assert len(calls) > 2  # one was chosen to give way, and called again
    assert set(calls) == {1}
    assert not DeadLetter.objects.exists()


def test_a_duplicate_waits_for_the_one_in_hand_for_longer_than_the_database_lets_it(member, broker, group, monkeypatch):
    claimed, may_end = threading.Event(), threading.Event()

    def handle_elsewhere():
        message = SimpleNamespace(message_key="0", message_id="0", topic="orders")
        with transaction.atomic():
            assert InboxMessage.objects.claim(message, group)
            claimed.set()
            assert may_end.wait(SECONDS)

    def rest(seconds):
        may_end.set()
        join()

    join = in_thread(handle_elsewhere)
    assert claimed.wait(SECONDS)
    broker.incoming += [record(0)]
    shipping = member(pack)
    execute(SHORT[connection.vendor].format("SESSION "))
    monkeypatch.setattr(contention.time, "sleep", rest)
    try:
        run_until(lambda: not shipping.is_busy and may_end.is_set(), shipping)
    finally:
        connection.close()

    assert boxes() == []
    assert not DeadLetter.objects.exists()


def test_what_does_not_end_is_the_messages_own_failure(member, broker, rests):
    calls = []

    def handle(message):
        calls.append(message.attempt)
        execute(RAISE[connection.vendor])

    broker.incoming += [record(0)]
    shipping = member(handle)
    run_until(DeadLetter.objects.exists, shipping)

    assert calls == [1] * MOST_TIMES
    assert len(rests) == MOST_TIMES - 1
    assert all(FIRST_REST * 2**n / 2 <= rest <= FIRST_REST * 2**n for n, rest in enumerate(rests))
    assert DeadLetter.objects.get().attempts == 1


def retry(handle, group):
    """Make the retry of a message on which this handler has failed once."""
    inbox.handler("orders", group=group)(handle)
    letter = consumer_letter(State.RETRYING, group=group, next_attempt_at=in_future(timedelta(0)), attempts=1)
    assert Retries(group).run_once() == 1
    letter.refresh_from_db()
    return letter


@pytest.mark.usefixtures("registry", "rests")
def test_a_retry_is_called_again_too_and_pays_no_attempt(group):
    calls = []

    def handle(message):
        calls.append(message.attempt)
        pack(message)
        if len(calls) < MOST_TIMES:
            execute(RAISE[connection.vendor])

    letter = retry(handle, group)
    assert calls == [2] * MOST_TIMES
    assert (letter.state, letter.attempts, Box.objects.count()) == (State.RESOLVED, 1, 1)


@pytest.mark.usefixtures("registry", "rests")
def test_what_does_not_end_is_a_retrys_failure_too(group):
    calls = []

    def handle(message):
        calls.append(message.attempt)
        execute(RAISE[connection.vendor])

    letter = retry(handle, group)
    assert calls == [2] * MOST_TIMES
    assert (letter.state, letter.attempts, letter.deaths) == (State.RETRYING, 2, 0)
