"""The order of a key through failure, with consumers, retries and people who act at the same moment."""

import random
import threading
import time
from datetime import timedelta

import pytest
from django.db import OperationalError, connection

from django_dlq import consumer, deadletters, inbox
from django_dlq.exceptions import DeskError
from django_dlq.models import DeadLetter, State, WaitingKey
from django_dlq.retries import Retries
from tests.consuming.shipping import SECONDS, pack, record
from tests.shop.models import Box
from tests.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)

KEYS, MESSAGES = 4, 12


def deliver(group, message):
    """Settle a message, again and again like a consumer: MariaDB ends one of two transactions that wait in a circle."""
    while True:
        try:
            consumer.settle(group, message)
        except OperationalError:
            assert connection.vendor == "mysql"
        else:
            return


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
            deliver(group, record(number, key))
            if chance.random() < 0.2:  # delivered twice
                deliver(group, record(number, key))
        fed.set()

    def retry():
        retries = Retries(group)
        while not over.is_set():
            if not retries.run_once():
                over.wait(0.002)

    def decide():
        # Not before something waits for it: on a busy machine nothing ever might.
        while not (fed.is_set() or DeadLetter.objects.filter(state=State.PARKED).exists()):
            over.wait(0.005)
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
    try:
        while not (fed.is_set() and not DeadLetter.objects.open().exists()):
            assert time.monotonic() < until, list(DeadLetter.objects.open().values_list("message_key", "state"))
            time.sleep(0.02)
    finally:
        over.set()
        for join in joins:
            join()

    handled = list(map(int, Box.objects.order_by("pk").values_list("order", flat=True)))
    discarded = DeadLetter.objects.filter(state=State.DISCARDED).values_list("message_key", flat=True)
    for key in range(KEYS):
        of_key = [number for number in handled if number % KEYS == key]
        assert of_key == sorted(set(of_key))
    assert {*handled, *map(int, discarded)} == set(numbers)
    assert DeadLetter.objects.filter(events__kind="parked").exists()
    assert not WaitingKey.objects.exists()
