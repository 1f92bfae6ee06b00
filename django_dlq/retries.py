"""Try again what failed, when it is due."""

from collections.abc import Callable
from functools import partial

from django.db import connections, router, transaction

from django_dlq import burial, inbox, signals
from django_dlq.exceptions import IllegalTransition, UnknownHandler
from django_dlq.fingerprint import Failure
from django_dlq.message import ReceivedMessage, Record
from django_dlq.models import DeadLetter
from django_dlq.registry import handlers
from django_dlq.runner import lost_connection

BATCH = 100
ACTOR = "retries"


class Retries:
    """Run the attempts that are due. Several may run side by side: a letter that one has in hand, others pass over."""

    def run_once(self) -> int:
        """Make up to a hundred attempts that are due; return how many were made."""
        for made in range(BATCH):
            if not self._attempt_next():
                return made
        return BATCH

    def close(self) -> None:
        """There is nothing to give back."""

    def _attempt_next(self) -> bool:
        letter: DeadLetter | None = None
        try:
            with transaction.atomic(using=_database()):
                letter = _lock_next()
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


def _lock_next() -> DeadLetter | None:
    """Lock the letter that is due longest, until the end of the transaction, so that no other process takes it too."""
    can_skip = connections[_database()].features.has_select_for_update_skip_locked
    return DeadLetter.objects.due().select_for_update(skip_locked=can_skip).first()


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
        handler.call([message])

    is_new = inbox.handle_once(message, letter.group, handle)
    burial.resolve(letter, actor=ACTOR)
    if is_new:
        return partial(signals.tell, signals.message_handled, Retries, message=message, handler=handler)
    return partial(signals.tell, signals.message_skipped, Retries, message=message, why="duplicate")


def _fail(letter: DeadLetter, error: BaseException) -> None:
    handler = handlers.match(letter.group, letter.topic, letter.tag)
    delay = handler.delay_after(letter.attempts + 1, error) if handler else None
    try:
        burial.fail_again(letter, Failure.of(error, letter.group, letter.handler), delay=delay)
    except IllegalTransition:
        # Somebody acted on the letter after the attempt was rolled back; what they decided stands.
        return


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
