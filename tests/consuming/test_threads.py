"""A consumer whose handlers run in several threads."""

import threading
import time
from collections import defaultdict
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import OperationalError

from django_dlq import consumer, inbox, outbox, runner
from django_dlq.consuming import room, settling
from django_dlq.models import DeadLetter, InboxMessage
from django_dlq.runner import Loop, until_idle
from django_dlq.testing import drain
from tests.consuming.shipping import SECONDS, boxes, committed, pack, record
from tests.shop.models import Box
from tests.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


def test_messages_of_a_key_run_one_after_the_other_in_their_order(member, broker):
    running, order = set(), defaultdict(list)

    def handle(message):
        assert message.key not in running
        running.add(message.key)
        order[message.key].append(int(message.message_key))
        pack(message)
        running.remove(message.key)

    broker.incoming += [record(number, b"%d" % (number % 5)) for number in range(60)]
    shipping = member(handle, concurrency=8)
    assert until_idle(shipping) == 60
    assert dict(order) == {str(key): list(range(key, 60, 5)) for key in range(5)}
    assert not DeadLetter.objects.exists()


def test_no_more_is_in_hand_than_every_thread_can_have_in_a_batch(member, broker, settings):
    settings.DLQ_CONSUMER_BATCH = 5
    may_end = threading.Event()
    broker.incoming += [record(number) for number in range(40)]
    shipping = member(lambda message: may_end.wait(SECONDS), concurrency=2)
    for _ in range(3):
        shipping.run_once()
    assert len(broker.incoming) == 30

    may_end.set()
    assert until_idle(shipping) == 40


def test_bodies_are_no_more_than_memory_bears(member, broker, monkeypatch, settings):
    settings.DLQ_CONSUMER_BATCH = 2
    monkeypatch.setattr(room, "MOST_BYTES", 100)
    monkeypatch.setattr(consumer, "SECONDS_BETWEEN_COMMITS", 0.05)
    may_end = threading.Event()
    broker.incoming += [record(number)._replace(body=bytes(60)) for number in range(9)]
    shipping = member(lambda message: may_end.wait(SECONDS), concurrency=4)
    for _ in range(3):
        shipping.run_once()
    assert len(broker.incoming) == 7

    may_end.set()
    assert until_idle(shipping) == 9


def test_if_the_database_is_gone_no_attempt_is_paid_and_each_key_goes_on_in_its_order(member, broker, monkeypatch):
    real, gone, order = inbox.handle_once, threading.Event(), defaultdict(list)

    def handle_once(message, *rest):
        if gone.is_set():
            raise OperationalError("server closed the connection")
        return real(message, *rest)

    def handle(message):
        order[message.key].append(int(message.message_key))
        pack(message)
        if message.message_key == "10":
            gone.set()

    monkeypatch.setattr(inbox, "handle_once", handle_once)
    monkeypatch.setattr(settling, "lost_connection", lambda error: isinstance(error, OperationalError))
    broker.incoming += [record(number, b"%d" % (number % 3)) for number in range(30)]
    shipping = member(handle, concurrency=4)
    with pytest.raises(OperationalError):
        until_idle_without_closing(shipping)
    gone.clear()
    while shipping.is_busy:
        with suppress(OperationalError):  # of threads that have met it too
            shipping.run_once(timeout=0.01)

    assert boxes() == list(range(30))
    assert dict(order) == {str(key): list(range(key, 30, 3)) for key in range(3)}
    assert not DeadLetter.objects.exists()


def until_idle_without_closing(member):
    member.run_once()
    while member.is_busy:
        member.run_once()


def test_one_that_waits_for_messages_has_time_left_to_end_in(member, broker, settings):
    settings.DLQ_CONSUMER_GRACE = timedelta(seconds=0.4)
    member(pack).run_once()
    assert [timeout for _, timeout in broker.polls] == [0.1]


# Its main thread hangs; it is still in `run_once` when the time is over; it is in `close`.
@pytest.mark.parametrize("limits", [(1, 0.4), (2, 0.4), (2, 2.0)])
def test_before_a_process_ends_without_a_handler_what_is_done_is_committed_and_the_group_is_left(
    member, broker, settings, monkeypatch, limits
):
    concurrency, grace = limits
    settings.DLQ_CONSUMER_GRACE = timedelta(seconds=grace)
    begun, may_end, left = threading.Event(), threading.Event(), []

    def handle(message):
        if message.message_key == "1":
            begun.set()
            assert may_end.wait(SECONDS)
        pack(message)

    def end_process():
        left.append((committed(broker), broker.subscriptions[0].is_closed))
        may_end.set()

    def stop():
        assert begun.wait(SECONDS)
        loop.stopped.set()

    monkeypatch.setattr(runner, "end_process", end_process)
    broker.incoming += [record(0, b"k"), record(1, b"k")]
    loop = Loop(member(handle, concurrency=concurrency), idle=0.001)
    stopping = in_thread(stop)
    loop.run()
    stopping()
    assert left == [(0, True)]
    for thread in threading.enumerate():
        if thread.name.startswith("dlq-"):
            thread.join(SECONDS)


def test_a_batch_handler_runs_in_threads_too(member, broker):
    sizes = []

    def handle(messages):
        sizes.append(len(messages))
        Box.objects.bulk_create(Box(order=message.message_key) for message in messages)

    broker.incoming += [record(number, b"%d" % (number % 4)) for number in range(100)]
    assert until_idle(member(handle, batch_size=20, concurrency=3)) == 100
    assert boxes() == list(range(100))
    assert max(sizes) > 1


def test_a_handler_of_the_group_that_bears_one_call_at_a_time_has_one(member, broker, group):
    running = threading.Lock()

    def handle_alone(message):
        assert running.acquire(blocking=False)
        pack(message)
        running.release()

    inbox.handler("bills", group=group, concurrency=4)(pack)
    broker.incoming += [record(number) for number in range(20)]
    broker.incoming += [record(number)._replace(topic="bills") for number in range(20, 40)]
    assert until_idle(member(handle_alone)) == 40
    assert not DeadLetter.objects.exists()
    assert boxes() == list(range(40))


def test_a_rate_is_kept_and_nobody_is_kept_from_his_own(member, broker, group):
    started, times = time.monotonic(), []
    inbox.handler("bills", group=group)(pack)
    broker.incoming += [record(number) for number in range(11)]
    broker.incoming += [record(number)._replace(topic="bills") for number in range(20, 25)]
    shipping = member(lambda message: times.append(time.monotonic() - started), rate_limit=20)
    assert until_idle(shipping) == 16

    assert times[-1] > 10 / 20 - 0.01
    assert boxes() == [20, 21, 22, 23, 24]


def test_with_a_full_hand_a_rate_is_waited_for_without_asking_the_broker(member, broker, settings):
    settings.DLQ_CONSUMER_BATCH = 1
    broker.incoming += [record(number) for number in range(4)]
    shipping = member(pack, rate_limit=50)
    assert until_idle(shipping) == 4
    assert boxes() == [0, 1, 2, 3]
    assert {limit for limit, _ in broker.polls} == {1}


@pytest.mark.django_db(transaction=False)
def test_in_a_test_everything_happens_in_the_tests_own_transaction_and_without_waiting(registry, settings):
    settings.DLQ_BROKERS = {"default": {"BACKEND": "django_dlq.brokers.memory.MemoryBroker"}}
    threads = set()

    def handle(message):
        threads.add(threading.get_ident())
        pack(message)

    inbox.handler("orders", group="shipping", concurrency=8, rate_limit="1/day")(handle)
    for number in range(3):
        outbox.publish("orders", {}, message_key=str(number))
    assert drain().handled == 3
    assert (threads, InboxMessage.objects.count()) == ({threading.get_ident()}, 3)
