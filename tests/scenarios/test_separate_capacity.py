"""Fresh messages and retries of a group do not wait for each other."""

import os
import signal
import threading
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import transaction

from django_dlq import inbox, outbox
from django_dlq.message import ReceivedMessage
from django_dlq.models import DeadLetter, State, in_future
from django_dlq.registry import HandlerFunction
from tests.letters import consumer_letter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("dlq", "registry")]


def consume(handle: HandlerFunction) -> None:
    """Consume a fresh message and a retry that is due, until the handler sends this process SIGTERM."""
    inbox.handler("orders", group="shipping")(handle)
    consumer_letter(State.RETRYING, message_key="retry", next_attempt_at=in_future(timedelta(0)))
    with transaction.atomic():
        outbox.publish("orders", "", message_key="fresh")
    call_command("dlq_relay", "--once")
    call_command("dlq_consume")


def test_a_retry_that_takes_long_holds_up_no_fresh_message() -> None:
    is_trying, was_handled = threading.Event(), threading.Event()

    def handle(message: ReceivedMessage) -> None:
        if message.message_key == "retry":
            is_trying.set()
            assert was_handled.wait(30)
            return
        assert is_trying.wait(30)
        was_handled.set()
        os.kill(os.getpid(), signal.SIGTERM)

    consume(handle)
    # It was let finish what it had in hand.
    assert DeadLetter.objects.get().state == State.RESOLVED


def test_a_fresh_message_that_takes_long_holds_up_no_retry() -> None:
    was_retried = threading.Event()

    def handle(message: ReceivedMessage) -> None:
        if message.message_key == "retry":
            was_retried.set()
            return
        assert was_retried.wait(30)
        os.kill(os.getpid(), signal.SIGTERM)

    consume(handle)
    assert DeadLetter.objects.get().state == State.RESOLVED
