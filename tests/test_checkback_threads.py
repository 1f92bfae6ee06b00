"""Check-back with threads, which it has everywhere but on SQLite."""

import threading
from contextlib import closing

import pytest
from django.db import connection, transaction

from django_dlq import outbox
from django_dlq.checkback import CheckBack
from django_dlq.models import HalfMessage
from django_dlq.outbox import Verdict
from tests.half_messages import answering, check, due, states

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_checkers")]


def test_several_checkers_run_at_once(settings):
    settings.DLQ_CHECKBACK_THREADS = 4
    all_here = threading.Barrier(4, timeout=10)

    def together(message):
        all_here.wait()
        return Verdict.COMMIT

    outbox.checker("charge")(together)
    due(4)

    assert check() == 4
    assert states() == ["committed"] * 4


def test_a_slow_checker_does_not_hold_up_the_others(settings):
    settings.DLQ_CHECKBACK_THREADS = 2
    go_on = threading.Event()

    def slow(message):
        assert go_on.wait(10)
        return Verdict.ROLLBACK

    outbox.checker("slow")(slow)
    answering(Verdict.COMMIT)
    due(checker="slow")
    due(20)
    with closing(CheckBack()) as machine:
        while states().count("committed") < 20:
            machine.run_once()
        assert states()[0] == "prepared"
        go_on.set()
    assert states()[0] == "rolled_back"


def test_one_that_is_being_decided_is_not_asked_about():
    checker = answering(Verdict.ROLLBACK)
    (half,) = due()
    asked = []

    with transaction.atomic():
        half.commit()
        thread = threading.Thread(target=lambda: (asked.append(check()), connection.close()))
        thread.start()
        thread.join(10)

    assert asked == [0]
    assert checker.asked == []
    assert states() == ["committed"]


def test_an_answer_waits_for_who_has_locked_the_row_and_is_not_lost():
    answering(Verdict.COMMIT)
    due()
    with closing(CheckBack()) as machine:
        machine._take()
        machine._start()
        machine._collect(10)
        locked, go_on = threading.Event(), threading.Event()

        def lock():
            with transaction.atomic():
                HalfMessage.objects.select_for_update().get()
                locked.set()
                assert go_on.wait(10)
            connection.close()

        thread = threading.Thread(target=lock)
        thread.start()
        assert locked.wait(10)
        assert machine._write_down() == 0
        assert machine.is_busy
        go_on.set()
        thread.join(10)
        assert machine._write_down() == 1
    assert states() == ["committed"]
