"""Retries that run side by side; where a second writer waits for the first, nothing does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from django.db import DatabaseError, connections, transaction

from django_dlq import inbox, retries
from django_dlq.consuming.attempts import Attempts
from django_dlq.inbox import Compensate
from django_dlq.models import DeadLetter, State
from django_dlq.retries import Retries
from tests.services.process import wait_for
from tests.test_retries import boxes, due, pack
from tests.threads import in_thread


@contextmanager
def locked(letter: DeadLetter) -> Iterator[None]:
    """Let another transaction have a letter locked, from `with` to its end."""
    has_it, may_end = threading.Event(), threading.Event()

    def lock():
        with transaction.atomic():
            DeadLetter.objects.select_for_update().get(pk=letter.pk)
            has_it.set()
            may_end.wait(30)

    join = in_thread(lock)
    try:
        assert has_it.wait(30)
        yield
    finally:
        may_end.set()
        join()


@pytest.mark.django_db(transaction=True)
def test_a_retry_whose_letter_somebody_has_locked_for_a_moment_is_made_soon_and_no_death_is_counted(
    registry, monkeypatch
):
    registry.handlers.clear()
    inbox.handler("orders", group="shipping")(pack)
    letter, make = due("order"), Attempts.make

    def make_meanwhile(self, *claimed):
        with locked(letter):
            make(self, *claimed)

    machine = Retries("shipping")
    with monkeypatch.context() as patches:
        patches.setattr(Attempts, "make", make_meanwhile)
        machine.run_once()
    assert boxes() == []

    with locked(letter):
        assert machine.run_once() == 0  # it is not waited for either
    assert machine.run_once() == 1
    assert boxes() == ["order"]
    letter.refresh_from_db()
    assert (letter.state, letter.attempts) == (State.RESOLVED, 1)
    assert letter.deaths == 1  # which was counted before the attempt that was made, and for no other


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
