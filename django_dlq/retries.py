"""Try again what failed, when it is due."""

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial

from django.db import connections, router, transaction

from django_dlq import burial, failures, inbox, signals, tracing
from django_dlq.conf import conf
from django_dlq.consuming.stops import Stops
from django_dlq.exceptions import IllegalTransition, UnknownHandler
from django_dlq.fingerprint import Failure
from django_dlq.message import ReceivedMessage, Record
from django_dlq.models import DeadLetter
from django_dlq.registry import handlers
from django_dlq.runner import lost_connection

BATCH = 100
SECONDS_PER_ROUND = 1.0
"""After so long a round ends, so that a SIGTERM is heard."""


class Retries:
    """Run the attempts that are due, of one group or of all.

    Several may run side by side: a letter that one has in hand, others pass over. The attempts of a group that is
    stopped in this release are left for later.
    """

    def __init__(self, group: str | None = None) -> None:
        if group is not None:
            handlers.expect(group)
        self.group = group
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
        while made < BATCH and time.monotonic() - began < SECONDS_PER_ROUND and self._attempt_next():
            made += 1
        return made

    def close(self) -> None:
        """There is nothing to give back."""

    def _attempt_next(self) -> bool:
        letter: DeadLetter | None = None
        try:
            with transaction.atomic(using=_database()):
                letter = _lock_next(self.group, self._stopped)
                if letter is None:
                    return False
                tell = _handle(letter)
        except BaseException as error:  # whatever a handler raises is the letter's content, SystemExit too
            if letter is None or isinstance(error, KeyboardInterrupt) or lost_connection(error):
                raise
            _fail(letter, error)
        else:
            tell()
        return True


def _lock_next(group: str | None, stopped: Collection[str]) -> DeadLetter | None:
    """Lock the letter that is due longest, until the end of the transaction, so that no other process takes it too."""
    can_skip = connections[_database()].features.has_select_for_update_skip_locked
    due = DeadLetter.objects.due() if group is None else DeadLetter.objects.due().of_group(group)
    if group is None and stopped:
        due = due.exclude(group__in=stopped)
    return due.select_for_update(skip_locked=can_skip).first()


def _handle(letter: DeadLetter) -> Callable[[], None]:
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
    if is_new:
        return partial(signals.tell, signals.message_handled, Retries, message=message, handler=handler)
    return partial(signals.tell, signals.message_skipped, Retries, message=message, why="duplicate")


def _fail(letter: DeadLetter, error: BaseException) -> None:
    handler = handlers.match(letter.group, letter.topic, letter.tag)
    if handler is not None:
        failures.settle(_message(letter), handler, error, letter=letter)
        return
    with suppress(IllegalTransition):  # somebody acted on the letter meanwhile
        burial.fail_again(letter, Failure.of(error, letter.group, letter.handler), delay=None)


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
