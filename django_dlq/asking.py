"""Ask a checker what became of a half message."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.db import router, transaction

from django_dlq import tracing
from django_dlq.checkers import Verdict, checkers
from django_dlq.conf import conf
from django_dlq.connections import lost_connection
from django_dlq.exceptions import CheckerUnreachable, InvalidVerdict, UnknownChecker
from django_dlq.fingerprint import Failure
from django_dlq.models import Answer, Asked, HalfMessage
from django_dlq.time_limit import within

ANSWERS = {Verdict.COMMIT: Answer.COMMIT, Verdict.ROLLBACK: Answer.ROLLBACK, Verdict.UNKNOWN: Answer.UNKNOWN}


@dataclass(slots=True)
class Question:
    """One half message in hand, and in the end what came of asking."""

    half: HalfMessage
    asked: Asked | None = None


def longest_timeout() -> timedelta:
    """Return how long the slowest checker of this process may take."""
    return max([conf.DLQ_CHECKBACK_TIMEOUT, *(each.timeout for each in checkers.by_name.values() if each.timeout)])


def ask(question: Question) -> None:
    """Call the checker, and keep what it says; whatever it raises is UNKNOWN.

    A database that cannot be reached, CheckerUnreachable and UnknownChecker mean that nobody was asked.
    """
    half, began = question.half, time.monotonic()
    failure: Failure | None = None
    try:
        answer = ANSWERS[_verdict(question)]
    except BaseException as error:  # a checker's SystemExit too is an answer that nobody has
        if isinstance(error, KeyboardInterrupt):
            raise
        reached = not isinstance(error, (CheckerUnreachable, UnknownChecker)) and not lost_connection(error)
        answer = Answer.UNKNOWN if reached else Answer.UNREACHABLE
        failure = Failure.of(error, half.checker)
    question.asked = Asked(half=half, answer=answer, seconds=time.monotonic() - began, failure=failure)


def hanging(question: Question, error: BaseException, *, seconds: float) -> Asked:
    """Return what is written down for a checker that does not end."""
    failure = Failure.of(error, question.half.checker)
    return Asked(half=question.half, answer=Answer.UNKNOWN, seconds=seconds, failure=failure)


def _verdict(question: Question) -> Verdict:
    half = question.half
    checker = checkers.expect(half.checker)
    message = half.received()
    limit = checker.timeout or conf.DLQ_CHECKBACK_TIMEOUT
    with within(limit, about=(checker, [question])), tracing.continuing(message.headers), _apart():
        verdict = checker.function(message)
    if not isinstance(verdict, Verdict):
        raise InvalidVerdict(f"checker {checker.name!r} has returned {verdict!r}, which is no outbox.Verdict")
    return verdict


@contextmanager
def _apart() -> Iterator[None]:
    """Keep an error of the checker from breaking a transaction around it, as there is one in tests."""
    using = router.db_for_write(HalfMessage)
    if transaction.get_connection(using).in_atomic_block:
        with transaction.atomic(using=using):
            yield
    else:
        yield
