"""Try again what failed, when it is due."""

import time
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from functools import reduce
from operator import or_

from django.db import connections, router, transaction
from django.db.models import Q, QuerySet

from django_dlq import dependencies, failures
from django_dlq.conf import conf
from django_dlq.consuming.attempts import Attempts
from django_dlq.consuming.circuits import Circuits
from django_dlq.consuming.due import due_here, failed_on, lock_first, taken_by
from django_dlq.consuming.quiet import quiet
from django_dlq.consuming.rates import Rates
from django_dlq.consuming.shared import Shared
from django_dlq.consuming.stops import Stops
from django_dlq.consuming.watch import Watch, last_words, tell_of_hanging, what_it_was_doing
from django_dlq.models import DeadLetter, in_future
from django_dlq.registry import Handler, Running, handlers
from django_dlq.runner import end_process
from django_dlq.time_limit import Call

BATCH = 100
SECONDS_PER_ROUND = 1.0
"""After so long a round ends, so that a SIGTERM is heard."""

MOST_THREADS = 8
"""In which a consumer makes retries beside its fresh messages."""

LONGEST_WAIT = 0.1
"""Seconds that it waits for a handler's rate before it looks whether something of another handler is due."""

CLAIM = timedelta(seconds=10)
"""How long nobody else takes what was claimed, until its attempt has locked it; after a death it waits so long."""


class Retries:
    """Run the attempts that are due, of one group or of all.

    Several may run side by side: a letter that one has in hand, others pass over. The attempts of a group that is
    stopped in this release are left for later. `rates`: those that others in this process keep to as well.
    """

    def __init__(self, group: str | None = None, *, rates: Rates | None = None, shared: Shared | None = None) -> None:
        own = handlers.handlers if group is None else handlers.expect(group)
        self.group = group
        self._own = own
        self._handlers = [handler for handler in own if handler.depends_on]
        self._circuits = Circuits(self._handlers)
        self._stops = Stops()
        self._stopped: Collection[str] = ()
        # One that shares its work looks for some only while others have some: so no more look when all is quiet.
        self._helps = shared is not None
        self._shared = shared or Shared(rates or Rates(own))
        # Whether something was due at the end of the last round, and had to wait for its handler's rate.
        self.is_busy = False
        self._attempts = Attempts(self._shared, self._circuits, told_by=Retries)
        self._watch: Watch | None = None

    @classmethod
    def several(cls, group: str, *, rates: Rates | None = None) -> "list[Retries]":
        """Return as many as calls of the group's handlers may run at once, to run in threads of one process.

        So a retry that takes long, or hangs, holds up those of its own handler at most.
        """
        first = cls(group, rates=rates)
        most = min(MOST_THREADS, sum(handler.concurrency for handler in first._own))
        alone = connections[_database()].vendor == "sqlite"
        return [first, *(cls(group, shared=first._shared) for _ in range(0 if alone else most - 1))]

    @property
    def grace(self) -> float:
        """How many seconds the attempt in hand may take when this is told to stop."""
        return conf.DLQ_CONSUMER_GRACE.total_seconds()

    def run_once(self) -> int:
        """Make attempts that are due, up to a hundred and for about a second; return how many were made.

        While all that is due has to wait for its handler's rate, it does so here, for as long.
        """
        made, self._stopped, self.is_busy = 0, (), False
        if self._helps and not self._shared.is_busy:
            return 0
        self._stopped = self._stops.look().keys()
        if self.group in self._stopped:
            return 0
        self._watch_over_limits()
        self._attempts.forgive()
        self._circuits.look()
        for name in self._circuits.to_replay:
            dependencies.replay_some(name)
        began = time.monotonic()  # not before: where all of the above is slow, something is tried nevertheless
        while made < BATCH and time.monotonic() - began < SECONDS_PER_ROUND:
            if self._attempt_next():
                made += 1
            elif made or not self._waits_for_a_rate():
                break
        return made

    def close(self) -> None:
        """Watch no longer; there is nothing to give back."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _attempt_next(self) -> bool:
        """Make one attempt; of handlers whose circuit is not closed only if one of their messages is to be tried."""
        blocked = [handler for handler in self._handlers if self._circuits.blocks(handler)]
        if self._attempt(*self._claim(~failed_on(blocked) if blocked else Q())):
            return True
        for handler in blocked:
            if self._shared.is_full(handler):
                continue
            # Claimed before the attempt's transaction, which would keep the circuit's row locked.
            if self._due().filter(failed_on([handler])).exists() and self._circuits.allowance(handler):
                if self._attempt(*self._claim(failed_on([handler]), is_trial=True)):
                    return True
                self._circuits.ended(handler, was_called=False)
        return False

    def _waits_for_a_rate(self) -> bool:
        """Wait for a moment if something is due whose handler's rate holds it up; return whether there is."""
        slow = [] if self._helps else [handler for handler in self._own if self._shared.is_too_soon(handler)]
        wanted = [handler for handler in slow if self._due().filter(taken_by(handler)).exists()]
        for handler in wanted:
            self._shared.rates.want(handler, "retries")
        self.is_busy = bool(wanted)
        if wanted:
            time.sleep(min(self._shared.rates.wait("retries"), LONGEST_WAIT))
        return self.is_busy

    def _attempt(self, letter: DeadLetter | None, handler: Handler | None) -> bool:
        if letter is None:
            return False
        try:
            # A process has died with it: so the next death has one cause.
            with quiet.alone() if letter.deaths else quiet.beside():
                self._attempts.make(letter, handler)
        finally:
            self._shared.ended(handler)
        return True

    def _claim(self, condition: Q, *, is_trial: bool = False) -> tuple[DeadLetter | None, Handler | None]:
        """Take the letter that is due longest, of handlers that may be called now, so that nobody else does."""
        with self._shared.claiming():
            full = [handler for handler in self._own if self._shared.is_full(handler)]
            if full and not is_trial and not self._shared.may_look_past(full):
                return None, None
            began = time.monotonic()
            past = ~reduce(or_, map(taken_by, full)) if full else Q()
            letter, handler = self._claim_first(condition & past)
            if full and letter is None:
                self._shared.found_nothing_past(full, seconds=time.monotonic() - began)
            return letter, handler

    def _claim_first(self, condition: Q) -> tuple[DeadLetter | None, Handler | None]:
        """Do so among these; for whoever lets nobody else claim meanwhile.

        The first death is counted here; what a process has died with already waits to be alone before more are.
        """
        with transaction.atomic(using=_database()):
            letter = lock_first(self._due().filter(condition))
            if letter is None:
                return None, None
            counted = {} if letter.deaths else {"deaths": 1}
            DeadLetter.objects.filter(pk=letter.pk).update(next_attempt_at=in_future(CLAIM), **counted)
            handler = handlers.match(letter.group, letter.topic, letter.tag)
            self._shared.began(handler)
            return letter, handler

    def _watch_over_limits(self) -> None:
        connection = connections[_database()]
        needs_none = self._helps or connection.vendor == "sqlite" or connection.in_atomic_block
        if self._watch is None and not needs_none and any(handler.timeout for handler in self._own):
            self._watch = Watch(self._give_up, grace=self.grace)

    def _give_up(self, call: Call) -> None:
        """Store a failed attempt for a message whose handler hangs, and end the process in its place.

        Its letter is locked by the transaction that hangs, so that is ended first. Where that cannot be done, or takes
        long, a death is counted in the place of the attempt.
        """
        attempt = self._shared.attempts.get(call.thread)
        if attempt is None:
            return  # a fresh message's
        running: Running = call.about
        tell_of_hanging(call, Retries)
        with last_words(end_process), suppress(Exception):
            attempt.driver.close()
            failures.bury_hanging(
                running.messages[0],
                running.handler,
                what_it_was_doing(call),
                letter=attempt.letter,
                is_handler=running.is_handler,
            )

    def _due(self) -> QuerySet[DeadLetter]:
        return due_here(self.group, stopped=self._stopped)


def _database() -> str:
    return router.db_for_write(DeadLetter)
