"""Try again what failed, when it is due."""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import reduce
from operator import or_

from django.db import connections, router, transaction
from django.db.models import Q, QuerySet

from django_dlq import burial, dependencies, failures, inbox, signals, tracing
from django_dlq.conf import conf
from django_dlq.connections import lost_connection
from django_dlq.consuming.circuits import Circuits
from django_dlq.consuming.stops import Stops
from django_dlq.exceptions import IllegalTransition, UnknownHandler
from django_dlq.fingerprint import Failure
from django_dlq.message import ReceivedMessage, Record
from django_dlq.models import DeadLetter, in_future
from django_dlq.registry import Handler, handlers

BATCH = 100
ORPHANED_AFTER = timedelta(days=1)
"""How long a letter that no handler here takes is left to processes that have one: those of a newer release, say."""

SECONDS_PER_ROUND = 1.0
"""After so long a round ends, so that a SIGTERM is heard."""


class Retries:
    """Run the attempts that are due, of one group or of all.

    Several may run side by side: a letter that one has in hand, others pass over. The attempts of a group that is
    stopped in this release are left for later.
    """

    def __init__(self, group: str | None = None) -> None:
        own = handlers.handlers if group is None else handlers.expect(group)
        self.group = group
        self._handlers = [handler for handler in own if handler.depends_on]
        self._circuits = Circuits(self._handlers)
        self._stops = Stops()
        self._stopped: Collection[str] = ()

    @property
    def grace(self) -> float:
        """How many seconds the attempt in hand may take when this is told to stop."""
        return conf.DLQ_CONSUMER_GRACE.total_seconds()

    def run_once(self) -> int:
        """Make attempts that are due, up to a hundred and for about a second; return how many were made."""
        made, began, self._stopped = 0, time.monotonic(), self._stops.look().keys()
        if self.group in self._stopped:
            return 0
        self._circuits.look()
        for name in self._circuits.to_replay:
            dependencies.replay_some(name)
        while made < BATCH and time.monotonic() - began < SECONDS_PER_ROUND and self._attempt_next():
            made += 1
        return made

    def close(self) -> None:
        """There is nothing to give back."""

    def _attempt_next(self) -> bool:
        """Make one attempt; of handlers whose circuit is not closed only if one of their messages is to be tried."""
        blocked = [handler for handler in self._handlers if self._circuits.blocks(handler)]
        if self._attempt(~_of(blocked) if blocked else Q()):
            return True
        for handler in blocked:
            # Claimed before the attempt's transaction, which would keep the circuit's row locked.
            if self._due(_of([handler])).exists() and self._circuits.allowance(handler):
                if self._attempt(_of([handler])):
                    return True
                self._circuits.ended(handler, was_called=False)
        return False

    def _attempt(self, condition: Q) -> bool:
        letter: DeadLetter | None = None
        try:
            with transaction.atomic(using=_database()):
                letter = self._lock_next(condition)
                if letter is None:
                    return False
                tell = _handle(letter, self._circuits)
        except BaseException as error:  # whatever a handler raises is the letter's content, SystemExit too
            if letter is None or isinstance(error, KeyboardInterrupt) or lost_connection(error):
                raise
            self._fail(letter, error)
        else:
            tell()
        return True

    def _lock_next(self, condition: Q) -> DeadLetter | None:
        """Lock the letter that is due longest, until the end of the transaction, so that no other process takes it."""
        can_skip = connections[_database()].features.has_select_for_update_skip_locked
        return self._due(condition).select_for_update(skip_locked=can_skip).first()

    def _due(self, condition: Q) -> QuerySet[DeadLetter]:
        due = DeadLetter.objects.due() if self.group is None else DeadLetter.objects.due().of_group(self.group)
        if self.group is None and self._stopped:
            due = due.exclude(group__in=self._stopped)
        # After that time it is tried here, and so becomes dead.
        is_orphan = Q(next_attempt_at__lte=in_future(-ORPHANED_AFTER))
        return due.filter(condition, reduce(or_, map(_taken_by, handlers.handlers), is_orphan))

    def _fail(self, letter: DeadLetter, error: BaseException) -> None:
        handler = handlers.match(letter.group, letter.topic, letter.tag)
        if handler is None:
            with suppress(IllegalTransition):  # somebody acted on the letter meanwhile
                burial.fail_again(letter, Failure.of(error, letter.group, letter.handler), delay=None)
        elif self._circuits.claims(handler, error):
            # So that it is passed over from now on, even if it had another handler, and woken with the others.
            DeadLetter.objects.filter(pk=letter.pk).update(dependency=handler.depends_on)
        else:
            failures.settle(_message(letter), handler, error, letter=letter)


def _of(some: Sequence[Handler]) -> Q:
    """Return the condition of what these handlers have failed on, or of what waits for the same as they."""
    waiting = Q(dependency__in={handler.depends_on for handler in some})
    return reduce(or_, (Q(group=handler.group, handler=handler.name[:255]) for handler in some), waiting)


def _taken_by(handler: Handler) -> Q:
    """Return the condition of what a handler takes."""
    tags = Q(tag__in=handler.tags) if handler.tags else Q()
    return Q(group=handler.group, topic__in=handler.topics) & tags


def _handle(letter: DeadLetter, circuits: Circuits) -> Callable[[], None]:
    """Handle the message and settle the letter; return what tells of it once that is committed."""
    handler = handlers.match(letter.group, letter.topic, letter.tag)
    if handler is None:
        raise UnknownHandler(
            f"no handler of group {letter.group!r} takes such a message any more; it was {letter.handler}"
        )
    message = _message(letter)

    def handle(message: ReceivedMessage) -> None:
        inbox.check_expiry(message)
        with tracing.handling(message):
            handler.call([message])

    is_new = inbox.handle_once(message, letter.group, handle)
    burial.resolve(letter, actor=failures.RETRIES)

    def tell() -> None:
        circuits.ended(handler, was_called=is_new)
        if is_new:
            signals.tell(signals.message_handled, Retries, message=message, handler=handler)
        else:
            signals.tell(signals.message_skipped, Retries, message=message, why="duplicate")

    return tell


def _message(letter: DeadLetter) -> ReceivedMessage:
    record = Record(
        topic=letter.topic,
        key=letter.key_bytes,
        body=letter.body_bytes,
        headers=letter.headers,
        partition=letter.partition,
        offset=letter.offset,
        timestamp=letter.sent_at,
    )
    return ReceivedMessage(
        record=record,
        message_id=letter.message_id,
        message_key=letter.message_key,
        tag=letter.tag,
        group=letter.group,
        attempt=letter.attempts + 1,
    )


def _database() -> str:
    return router.db_for_write(DeadLetter)
