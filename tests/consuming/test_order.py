"""The order of a key through failure, with consumers, retries and people who act at the same moment."""

import random
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction

from django_dlq import consumer, deadletters, inbox
from django_dlq.exceptions import DeskError
from django_dlq.models import DeadLetter, InboxMessage, State, WaitingKey
from django_dlq.retries import Retries
from tests.consuming.shipping import SECONDS, pack, record
from tests.shop.models import Box

pytestmark = pytest.mark.django_db(transaction=True)

KEYS, MESSAGES = 4, 12


def in_thread(work, *args):
    """Run this beside, on a connection of its own; what it raises is raised by `join`."""
    troubles = []

    def run():
        try:
            work(*args)
        except BaseException as trouble:  # noqa: BLE001  # raised in the test's own thread
            troubles.append(trouble)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()

    def join():
        thread.join(SECONDS)
        assert not thread.is_alive()
        if troubles:
            raise troubles[0]

    return join


def fail_once(*numbers, error=inbox.Reject):
    left = set(map(str, numbers))

    def handle(message):
        if message.message_key in left:
            left.remove(message.message_key)
            raise error("no")
        pack(message)

    return handle


def boxes():
    return [int(order) for order in Box.objects.order_by("pk").values_list("order", flat=True)]


def deliver(group, *numbers):
    for number in numbers:
        consumer.settle(group, record(number, b"A"))


def letter(number):
    return DeadLetter.objects.get(message_key=str(number))


def test_what_comes_while_the_letter_before_it_is_settled_waits_for_that_and_is_handled(registry, group):
    inbox.handler("orders", group=group, ordered=True)(fail_once(1))
    deliver(group, 1)
    with transaction.atomic():
        deadletters.discard(letter(1), actor="ana", reason="a test order")
        join = in_thread(deliver, group, 2)
        wait_until_it_would_park(group, 2)
        assert boxes() == []
    join()
    assert boxes() == [2]
    assert not WaitingKey.objects.exists()


def wait_until_it_would_park(group, number):
    """Return when the message's first transaction, which only looks, has had the time to end: it is never parked."""
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        assert not InboxMessage.objects.filter(group=group, message_key=str(number)).exists()
        assert not DeadLetter.objects.filter(message_key=str(number)).exists()


def test_what_is_parked_at_this_moment_is_released_by_who_settles_the_letter_before_it(registry, group):
    inbox.handler("orders", group=group, ordered=True)(fail_once(1))
    deliver(group, 1)
    with transaction.atomic():
        deliver(group, 2)  # in savepoints of this transaction, which keeps what they lock
        join = in_thread(lambda: deadletters.discard(letter(1), actor="ana", reason="a test order"))
    join()
    assert letter(2).state == State.RETRYING


def test_who_discards_a_parked_letter_and_who_settles_the_one_before_it_do_not_wait_in_a_circle(registry, group):
    inbox.handler("orders", group=group, ordered=True)(fail_once(1))
    deliver(group, 1, 2, 3)
    with transaction.atomic():
        deadletters.discard(letter(2), actor="bo", reason="ordered twice")
        join = in_thread(lambda: deadletters.discard(letter(1), actor="ana", reason="a test order"))
    join()
    assert {each.message_key: each.state for each in DeadLetter.objects.all()} == {
        "1": State.DISCARDED,
        "2": State.DISCARDED,
        "3": State.RETRYING,
    }


def test_whatever_happens_at_once_each_key_is_handled_in_order_and_nothing_stays_parked(registry, group):
    chance = random.Random(8)
    numbers = range(KEYS * MESSAGES)
    failing = {str(number): chance.choice([1, 1, 2, 9]) for number in numbers if chance.random() < 0.3}

    @inbox.handler(
        "orders",
        group=group,
        ordered=True,
        retry=inbox.RetryPolicy.fixed(every=timedelta(milliseconds=30), attempts=3),
    )
    def handle(message):
        if message.attempt == 1 and failing.get(message.message_key) == 9:
            raise inbox.Reject("a person shall decide")
        if failing.get(message.message_key, 0) >= message.attempt:
            raise OSError("no")
        pack(message)

    fed, over = threading.Event(), threading.Event()

    def feed():
        for number in numbers:
            key = b"%d" % (number % KEYS)
            consumer.settle(group, record(number, key))
            if chance.random() < 0.2:  # delivered twice
                consumer.settle(group, record(number, key))
        fed.set()

    def retry():
        retries = Retries(group)
        while not over.is_set():
            if not retries.run_once():
                over.wait(0.002)

    def decide():
        while not over.is_set():
            for dead in DeadLetter.objects.filter(state=State.DEAD)[:3]:
                failing.pop(dead.message_key, None)
                try:
                    deadletters.discard(dead, actor="ana", reason="decided")
                except DeskError:
                    continue
            over.wait(0.005)

    joins = [in_thread(work) for work in (feed, retry, retry, decide)]
    until = time.monotonic() + SECONDS
    while not (fed.is_set() and not DeadLetter.objects.open().exists()):
        assert time.monotonic() < until, list(DeadLetter.objects.open().values_list("message_key", "state"))
        time.sleep(0.02)
    over.set()
    for join in joins:
        join()

    handled = boxes()
    discarded = DeadLetter.objects.filter(state=State.DISCARDED).values_list("message_key", flat=True)
    for key in range(KEYS):
        of_key = [number for number in handled if number % KEYS == key]
        assert of_key == sorted(set(of_key))
    assert {*handled, *map(int, discarded)} == set(numbers)
    assert DeadLetter.objects.filter(events__kind="parked").exists()
    assert not WaitingKey.objects.exists()
