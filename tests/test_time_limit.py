import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction

from django_dlq import inbox, signals, time_limit
from django_dlq.exceptions import TimeLimitExceeded
from django_dlq.message import ReceivedMessage, Record
from django_dlq.time_limit import overdue, within
from tests.shop.models import Box

SHORT, LONG = timedelta(microseconds=1), timedelta(minutes=1)


@pytest.mark.django_db
class TestStatements:
    def test_before_its_time_is_up_a_call_may_do_as_it_likes(self):
        with within(LONG, about=None) as call:
            Box.objects.create(order="1")

        assert Box.objects.count() == 1
        assert call.overtime < 0

    def test_after_it_every_statement_is_refused_even_if_the_first_refusal_is_swallowed(self):
        with within(SHORT, about=None):
            for _ in range(2):
                with pytest.raises(TimeLimitExceeded, match=r"its limit of 1e-06 seconds"):
                    Box.objects.exists()

    def test_a_savepoint_ends_in_good_order(self):
        def pack_too_long():
            with within(timedelta(milliseconds=50), about=None) as call, transaction.atomic():
                Box.objects.create(order="1")
                wait_until(lambda: call.overtime > 0)
                Box.objects.create(order="2")

        with transaction.atomic():
            with pytest.raises(TimeLimitExceeded):
                pack_too_long()
            Box.objects.create(order="3")

        assert [box.order for box in Box.objects.all()] == ["3"]

    def test_afterwards_nothing_is_limited(self):
        with within(SHORT, about=None):
            pass
        Box.objects.create(order="1")

        assert not connection.execute_wrappers


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.once
def test_who_is_overdue_can_be_seen_from_another_thread_and_where():
    found = []
    with within(SHORT, about="it") as call:
        looking = threading.Thread(target=lambda: found.extend([*overdue(0), *overdue(60)]))
        looking.start()
        looking.join()

    assert found == [call]
    assert (call.about, call.thread) == ("it", threading.get_ident())
    assert overdue(-100) == []
    assert time_limit._calls == {}


@pytest.mark.once
def test_a_handler_that_returns_late_without_a_statement_has_handled_its_messages_and_is_reported(registry):
    inbox.handler("orders", group="shipping", timeout=SHORT)(lambda message: None)
    told = []

    def receiver(handler, messages, overtime, **_):
        told.append((handler.group, messages, overtime > 0))

    signals.handler_was_late.connect(receiver)
    message = ReceivedMessage.of(Record(topic="orders", partition=0, offset=0), "shipping")
    registry.handlers[0].call([message])
    signals.handler_was_late.disconnect(receiver)
    assert told == [("shipping", [message], True)]
