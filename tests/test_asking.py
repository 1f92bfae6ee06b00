from datetime import timedelta

import pytest
from django.db import InterfaceError

from django_dlq import asking, outbox
from django_dlq.asking import Question, ask, hanging, longest_timeout
from django_dlq.exceptions import CheckerUnreachable, TimeLimitExceeded
from django_dlq.models import Answer
from django_dlq.outbox import Verdict
from tests.half_messages import answering, due

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_checkers")]


def asked(*answers):
    """Ask a checker that gives this answer; return what came of it."""
    answering(*answers)
    question = Question(outbox.half(due()[0].message_id))
    ask(question)
    return question.asked


@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_is_an_answer(verdict):
    found = asked(verdict)

    assert (found.answer, found.failure) == (Answer(verdict.value), None)
    assert found.seconds >= 0


@pytest.mark.parametrize("error", [CheckerUnreachable("refused"), InterfaceError("gone")])
def test_who_could_not_be_reached_was_not_asked(error, monkeypatch):
    monkeypatch.setattr(asking, "lost_connection", lambda error: isinstance(error, InterfaceError))

    found = asked(error)
    assert found.answer == Answer.UNREACHABLE
    assert found.failure.error_message == str(error)
    assert not found.is_last


def test_a_checker_that_has_just_gone_was_not_asked(no_checkers):
    answering()
    question = Question(outbox.half(due()[0].message_id))
    no_checkers.by_name.clear()
    ask(question)

    assert question.asked.answer == Answer.UNREACHABLE


def test_ctrl_c_is_no_answer():
    with pytest.raises(KeyboardInterrupt):
        asked(KeyboardInterrupt())


def test_a_checker_that_hangs_is_unknown_with_the_place_where_it_is():
    answering()
    found = hanging(Question(outbox.half(due()[0].message_id)), TimeLimitExceeded("it has not ended"), seconds=41.0)

    assert (found.answer, found.seconds, found.failure.error_message) == (Answer.UNKNOWN, 41.0, "it has not ended")


def test_the_longest_timeout_is_that_of_the_slowest_checker(settings):
    assert longest_timeout() == timedelta(seconds=10)
    answering(timeout=timedelta(minutes=1))
    assert longest_timeout() == timedelta(minutes=1)
    settings.DLQ_CHECKBACK_TIMEOUT = timedelta(minutes=2)
    assert longest_timeout() == timedelta(minutes=2)
