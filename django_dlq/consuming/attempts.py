"""Make a retry that was claimed, and write down what became of it."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.db import router, transaction
from django.db.models import QuerySet

from django_dlq import burial, failures, inbox, signals, tracing
from django_dlq.connections import lost_connection
from django_dlq.consuming.circuits import Circuits
from django_dlq.consuming.due import can_skip, lock_first
from django_dlq.consuming.shared import Shared
from django_dlq.contention import over_contention
from django_dlq.exceptions import IllegalTransition, UnknownHandler
from django_dlq.fingerprint import Failure
from django_dlq.message import ReceivedMessage, Record
from django_dlq.models import DeadLetter, State
from django_dlq.registry import Handler


class Attempts:
    """Make retries, one after the other; `told_by`: who sends the signals of what became of them."""

    def __init__(self, shared: Shared, circuits: Circuits, *, told_by: type) -> None:
        self._shared, self._circuits, self._told_by = shared, circuits, told_by
        self._interrupted: list[DeadLetter] = []

    def make(self, letter: DeadLetter, handler: Handler | None) -> None:
        """Make one, unless another process has it in hand. Raises only if the database cannot be reached."""
        mine = DeadLetter.objects.filter(pk=letter.pk, state=State.RETRYING, attempts=letter.attempts)
        try:
            if letter.deaths and not mine.filter(deaths=letter.deaths).update(deaths=letter.deaths + 1):
                return  # another process has it, since it took long to be alone
            attempt = partial(self._handle_locked, letter, handler, mine.filter(deaths=letter.deaths + 1))
            tell = over_contention(attempt, using=_database())
        except BaseException as error:  # whatever a handler raises is the letter's content, SystemExit too
            if isinstance(error, KeyboardInterrupt) or lost_connection(error):
                self._interrupted.append(letter)
                raise
            with self._shared.attempting(letter):
                self._fail(letter, handler, error)
        else:
            if tell is None:
                self._interrupted.append(letter)
            else:
                tell()

    def forgive(self) -> None:
        """Take back the deaths that were counted for attempts which others, or the database, have kept from being made.

        Their messages are due again at once, but for those that somebody still has locked.
        """
        self._interrupted = [letter for letter in self._interrupted if not _untried(letter)]

    def _handle_locked(
        self, letter: DeadLetter, handler: Handler | None, mine: QuerySet[DeadLetter]
    ) -> Callable[[], None] | None:
        """Handle it if it can be locked; return None if somebody has it locked who does not make this attempt.

        So has who lets the next message of a key go, on MariaDB and MySQL, which lock what they look at.
        """
        with transaction.atomic(using=_database()), self._shared.attempting(letter):
            locked = mine.select_for_update(skip_locked=can_skip(_database()))
            if locked.values_list("pk").first() is None:
                # If it is not as it was claimed, another process has it, or somebody has acted on it.
                return None if mine.exists() else _tell_nothing
            return self._handle(letter, handler)

    def _fail(self, letter: DeadLetter, handler: Handler | None, error: BaseException) -> None:
        if handler is None:
            with suppress(IllegalTransition):  # somebody acted on the letter meanwhile
                burial.fail_again(letter, Failure.of(error, letter.group, letter.handler), delay=None)
        elif self._circuits.claims(handler, error):
            # So that it is passed over from now on, even if it had another handler, and woken with the others.
            if not _untried(letter, dependency=handler.depends_on):
                self._interrupted.append(letter)
        else:
            failures.settle(_message(letter), handler, error, letter=letter)

    def _handle(self, letter: DeadLetter, handler: Handler | None) -> Callable[[], None]:
        """Handle the message and settle the letter; return what tells of it once that is committed."""
        if handler is None:
            raise UnknownHandler(
                f"no handler of group {letter.group!r} takes such a message any more; it was {letter.handler}"
            )
        message = _message(letter)

        def handle(message: ReceivedMessage) -> None:
            failures.expect_life(letter.deaths)
            inbox.check_expiry(message)
            with tracing.handling(message):
                handler.call([message])

        is_new = inbox.handle_once(message, letter.group, handle)
        burial.resolve(letter, actor=failures.RETRIES)

        def tell() -> None:
            self._circuits.ended(handler, was_called=is_new)
            if is_new:
                signals.tell(signals.message_handled, self._told_by, message=message, handler=handler)
            else:
                signals.tell(signals.message_skipped, self._told_by, message=message, why="duplicate")

        return tell


def _untried(letter: DeadLetter, **changes: Any) -> bool:
    """Let a letter be as it was before its attempt, with these changes; return False if somebody has it locked."""
    claimed = DeadLetter.objects.filter(pk=letter.pk, attempts=letter.attempts, deaths=letter.deaths + 1)
    claimed = claimed.filter(state=State.RETRYING)
    with transaction.atomic(using=_database()):
        if lock_first(claimed.only("pk")) is None:
            return not claimed.exists()
        claimed.update(deaths=letter.deaths, next_attempt_at=letter.next_attempt_at, **changes)
    return True


def _tell_nothing() -> None:
    pass


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
