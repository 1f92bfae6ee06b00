"""Ask what became of half messages whose process is silent, and do what their checkers say."""

import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

from django.db import DatabaseError, connections

from django_dlq import signals
from django_dlq.asking import Question, ask, hanging, longest_timeout
from django_dlq.checkers import Checker, checkers
from django_dlq.conf import conf
from django_dlq.consuming.crew import Alone, Crew, Threads
from django_dlq.consuming.watch import Watch, what_it_was_doing
from django_dlq.models import Asked, HalfMessage, give_back, lease_due, write_down
from django_dlq.runner import end_process
from django_dlq.time_limit import Call

MOST_IN_HAND = 1000
SECONDS_PER_ROUND = 0.25
"""After so long the answers that there are are written down, and a SIGTERM is heard."""

SECONDS_PER_PORTION = 0.02
"""Of questions that a thread takes at once, so that fast checkers are not held up by the handing over."""

SECONDS_BETWEEN_TRIES = 0.02
"""To write down an answer while somebody has locked the row."""

SECONDS_IN_HAND = 5.0
"""What nobody has been asked about for so long, since the checkers have become slow, is left to others."""

SECONDS_TO_WRITE = timedelta(seconds=30)
"""The part of the lease for what comes after the answer."""

SECONDS_BETWEEN_COMPLAINTS = 60.0
"""About half messages whose checker is gone."""


class CheckBack:
    """Ask about half messages that are due, several at a time.

    Any number may run side by side, on any machine: what one has in hand is leased to it. Inside a transaction, as in
    tests, and on SQLite all is done in one thread.
    """

    def __init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        connection = connections[HalfMessage.objects.db]
        self._using = connection.alias
        alone = connection.vendor == "sqlite" or connection.in_atomic_block
        self._threads = 1 if alone else conf.DLQ_CHECKBACK_THREADS
        self._crew: Crew = Alone(_ask_all) if alone else Threads(_ask_all, self._threads)
        self._watch = None if alone else Watch(self._report, grace=self.grace)
        self._waiting: deque[HalfMessage] = deque()
        self._answers: list[Asked] = []
        self._hanging: Call | None = None
        # Whether a process has died with what is in hand, so that nothing else may be beside it.
        self._has_suspect = False
        self._seconds_each = SECONDS_PER_ROUND  # nothing is known of the checkers yet
        self._taken_at = self._next_complaint = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether something is in hand, so that it is not idle even if nothing was answered just now."""
        return bool(self._waiting or self._answers or self._crew.is_busy)

    @property
    def grace(self) -> float:
        """How many seconds a checker may go on when this is told to stop, or beyond its timeout."""
        return conf.DLQ_CONSUMER_GRACE.total_seconds()

    def run_once(self) -> int:
        """Ask about what is due, as far as there is room, and write down what was answered; return how many that were.

        If the database fails in between, that error is raised, and the next call goes on with the answers in hand.
        """
        self._complain()
        if not self._waiting and self._crew.has_room and not (self._has_suspect and self.is_busy):
            self._take()
        ends = time.monotonic() + SECONDS_PER_ROUND
        while self._start() and (left := ends - time.monotonic()) > 0:
            self._collect(left)
        if self._hanging is not None:
            self._give_up(self._hanging)
        return self._write_down()

    def close(self) -> None:
        """Let checkers that run end, write down their answers, and give back what nobody has been asked about."""
        for returned in self._crew.close(self.grace):
            self._keep(returned.work)
        if self._watch is not None:
            self._watch.close()
        self._give_back()
        self._write_down()

    def _take(self) -> None:
        """Take in hand what can be asked about within a round, as far as one can tell from the last answers."""
        wanted = SECONDS_PER_ROUND / self._seconds_each * self._threads
        most = max(self._threads, min(MOST_IN_HAND, int(wanted)))
        lease = longest_timeout() + timedelta(seconds=self.grace + SECONDS_IN_HAND) + SECONDS_TO_WRITE
        self._taken_at = time.monotonic()
        halves = lease_due(
            self.owner,
            checkers.by_name,
            most=most,
            lease=lease,
            most_deaths=conf.DLQ_MOST_DEATHS,
            is_idle=not self.is_busy,
            using=self._using,
        )
        self._has_suspect = any(half.deaths for half in halves)
        self._waiting.extend(halves)

    def _start(self) -> bool:
        """Give everybody who is free something to ask; return whether there is an answer to wait for."""
        most = max(1, int(SECONDS_PER_PORTION / self._seconds_each))
        while self._waiting and self._crew.has_room:
            size = min(most, -(-len(self._waiting) // self._threads))
            self._crew.give([Question(self._waiting.popleft()) for _ in range(size)])
        if self._waiting and time.monotonic() - self._taken_at > SECONDS_IN_HAND:
            self._give_back()
        return self._crew.is_busy

    def _collect(self, seconds: float) -> None:
        for work, error in self._crew.take_back(seconds):
            self._keep(work)
            if error is not None:
                raise error

    def _keep(self, work: Iterable[Question]) -> None:
        for question in work:
            if question.asked is not None:
                self._answers.append(question.asked)
                self._seconds_each += (max(1e-6, question.asked.seconds) - self._seconds_each) / 8

    def _write_down(self) -> int:
        """Write down all answers that can be; the others are kept for the next call."""
        if not self._answers:
            return 0
        before = len(self._answers)
        self._answers = write_down(sorted(self._answers, key=lambda asked: asked.half.pk), using=self._using)
        if len(self._answers) == before:
            time.sleep(SECONDS_BETWEEN_TRIES)
        return before - len(self._answers)

    def _give_back(self) -> None:
        give_back(self._waiting, using=self._using)
        self._waiting.clear()

    def _complain(self) -> None:
        """Say now and then that there is nobody to ask; what is to be done about it a person must know."""
        if time.monotonic() < self._next_complaint:
            return
        self._next_complaint = time.monotonic() + SECONDS_BETWEEN_COMPLAINTS
        for name, count in HalfMessage.objects.using(self._using).due().count_by_missing_checker(checkers.by_name):
            signals.tell(signals.checker_missing, CheckBack, checker=name, count=count)

    def _report(self, call: Call) -> None:
        """Hear of a checker that hangs, from the watch's thread."""
        if isinstance(call.about[0], Checker):
            self._hanging = call

    def _give_up(self, call: Call) -> None:
        """Write down that a checker does not end, and end the process in its place, since Python cannot stop a thread.

        What else is in hand is asked about by another process when the lease has run out.
        """
        checker, (question,) = call.about
        signals.tell(signals.checker_hangs, CheckBack, checker=checker, half=question.half, overtime=call.overtime)
        seconds = call.overtime + call.limit.total_seconds()
        self._answers.append(hanging(question, what_it_was_doing(call), seconds=seconds))
        try:
            with suppress(DatabaseError):  # then it costs no check, and is asked about again
                self._give_back()
                self._write_down()
        finally:
            end_process()


def _ask_all(questions: Iterable[Question]) -> None:
    for question in questions:
        ask(question)
