"""Half messages as tests need them."""

from contextlib import closing
from datetime import timedelta

from django_dlq import outbox
from django_dlq.checkback import CheckBack
from django_dlq.checkers import checkers
from django_dlq.models import DatabaseNow, HalfMessage
from django_dlq.outbox import Verdict


def due(number=1, *, topic="payments", checker="charge", **options):
    """Prepare half messages whose check is due at once."""
    options = {"check_after": timedelta(0), **options}
    return [outbox.prepare(topic, {"n": n}, checker=checker, **options) for n in range(number)]


def make_due():
    """Let the next check of every half message be due now, also of those that somebody has in hand."""
    HalfMessage.objects.filter(next_check_at__isnull=False).update(next_check_at=DatabaseNow())


class Answers:
    """A checker that says what it is told to, and remembers what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, message):
        self.asked.append(message)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def answering(*answers, name="charge", **options):
    """Register a checker that gives these answers, the last one again and again, in place of one of that name."""
    checkers.by_name.pop(name, None)
    checker = Answers(*(answers or (Verdict.UNKNOWN,)))
    outbox.checker(name, **options)(checker)
    return checker


def check():
    """Ask about everything that is due; return about how many."""
    done = 0
    with closing(CheckBack()) as machine:
        while (made := machine.run_once()) or machine.is_busy:
            done += made
    return done


def states():
    return list(HalfMessage.objects.order_by("pk").values_list("state", flat=True))
