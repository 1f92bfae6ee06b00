"""Retries that run side by side; where a second writer waits for the first, nothing does."""

import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import DatabaseError, connections

from django_dlq import inbox, retries
from django_dlq.inbox import Compensate
from django_dlq.models import State
from django_dlq.retries import Retries
from tests.services.process import wait_for
from tests.test_retries import boxes, due, pack


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["handler", "compensation"])
def test_a_retry_that_hangs_holds_up_no_other_handlers_and_has_failed_with_its_place(
    registry, settings, monkeypatch, what
):
    settings.DLQ_CONSUMER_GRACE = timedelta(milliseconds=50)
    registry.handlers.clear()
    ended, may_end = threading.Event(), threading.Event()

    def end_process():
        ended.set()
        connections.close_all()

    monkeypatch.setattr(retries, "end_process", end_process)

    def hang(message, error=None):
        may_end.wait(30)

    def fail(message):
        raise ValueError("no stock")

    timeout = timedelta(milliseconds=300)
    if what == "handler":
        inbox.handler("orders", group="shipping", timeout=timeout)(hang)
    else:
        inbox.handler("orders", group="shipping", timeout=timeout, on_failure={ValueError: Compensate(hang)})(fail)
    inbox.handler("bills", group="shipping")(pack)
    hanging = due("hangs", ago=120)
    first, helper = Retries.several("shipping")

    def make():
        try:
            with suppress(DatabaseError):  # its connection was closed
                first.run_once()
        finally:
            connections.close_all()

    thread = threading.Thread(target=make)
    thread.start()
    try:
        assert wait_for(lambda: first._shared.attempts, seconds=30, pause=0.001)
        due("other", topic="bills")
        assert helper.run_once() == 1
        assert boxes() == ["other"]
        assert ended.wait(30)
        hanging.refresh_from_db()
        assert (hanging.state, hanging.attempts, hanging.deaths) == (State.RETRYING, 2, 0)
        assert hanging.error_class == "django_dlq.exceptions.TimeLimitExceeded"
        assert "may_end.wait(30)" in hanging.traceback
    finally:
        # Whatever has failed: what hangs beyond this test would end the process of all tests.
        may_end.set()
        thread.join(30)
        first.close()
