"""Do about a failure what the handler's rule says: try again, give up, skip, or compensate."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from django.db import router, transaction

from django_dlq import burial, signals, tracing
from django_dlq.conf import conf
from django_dlq.connections import lost_connection
from django_dlq.exceptions import IllegalTransition, ProcessDied
from django_dlq.failure_rule import Compensate, Decision
from django_dlq.fingerprint import Failure, class_path, one_line
from django_dlq.message import ReceivedMessage
from django_dlq.models import DeadLetter, InboxMessage, Outcome, Source
from django_dlq.registry import Handler, dotted_path

RETRIES = "retries"
"""Who acts, in a letter's timeline, where a retry does."""


def settle(
    message: ReceivedMessage, handler: Handler, error: BaseException, *, letter: DeadLetter | None = None
) -> Failure | None:
    """Settle a message whose handler has failed and whose transaction was rolled back.

    Return the failure as it was stored, with a letter or with its compensation; None for one that was passed over.
    `letter`: the one whose retry this was, as it was read before. If somebody acted on it meanwhile, that stands.
    Raises only if the database cannot be reached. A rule or a compensation that fails is the message's next failure,
    with the handler's error as its context.
    """
    if isinstance(error, ProcessDied) and error.is_only_that:
        return _store(message, handler, Failure.of(error, message.group, handler.name), letter, delay=None)
    try:
        with handler.limited(message):
            choice = handler.decide(message, error)
        is_final = handler.delay_after(message.attempt, error) is None
        if isinstance(choice, Compensate) and (is_final or not choice.after_retries):
            return _compensate(message, handler, error, choice, letter)
        if choice is Decision.SKIP:
            _skip(message, error, letter)
            return None
    except BaseException as trouble:  # whatever a project's function raises is the letter's content, SystemExit too
        if isinstance(trouble, KeyboardInterrupt) or lost_connection(trouble):
            raise
        choice, error = Decision.RETRY, trouble
    return _bury(message, handler, error, letter, is_dead=choice is Decision.DEAD)


def expect_life(deaths: int) -> None:
    """Raise ProcessDied if so many processes have died with a message in hand that it is given to no handler again.

    The first time its handler's rule is asked what shall become of it. If that kills the process too, nobody is.
    """
    if deaths and deaths >= conf.DLQ_MOST_DEATHS:  # nearly always there are none, and to ask takes time
        raise ProcessDied(
            f"its process died {deaths} times while it was handled, each time but the first with nothing else in hand",
            is_only_that=deaths > conf.DLQ_MOST_DEATHS,
        )


def bury_hanging(
    message: ReceivedMessage,
    handler: Handler,
    error: BaseException,
    *,
    letter: DeadLetter | None = None,
    is_handler: bool = True,
) -> None:
    """Store a failed attempt that does not end: to be retried or dead, as its rule and its policy say.

    The transaction of that attempt is still open, in another thread, and holds the message's inbox row. So nothing can
    be skipped or compensated before it is gone with its process: that is for the next attempt to come to. If it is not
    the handler that hangs but what is called about its failure, no function of the handler is called here.
    """
    if not is_handler:
        delay = handler.delay_after(message.attempt, error)
        _store(message, handler, Failure.of(error, message.group, handler.name), letter, delay=delay)
        return
    is_dead = False
    try:
        is_dead = handler.decide(message, error) is Decision.DEAD
    except BaseException as trouble:
        if isinstance(trouble, KeyboardInterrupt) or lost_connection(trouble):
            raise
        error.add_note(f"The handler's on_failure for this failed with {class_path(trouble)}.")
    _bury(message, handler, error, letter, is_dead=is_dead)


def describe(message: ReceivedMessage, handler: Handler, error: BaseException) -> Failure:
    """Describe a failure, with the handler's own fingerprint if it makes one that can be had."""
    cause: str | None = None
    if handler.fingerprint is not None:
        try:
            with handler.limited(message):
                cause = handler.fingerprint(message, error)
        except BaseException as trouble:
            if isinstance(trouble, KeyboardInterrupt):
                raise
            error.add_note(f"The handler's fingerprint of this failed with {class_path(trouble)}.")
        if not isinstance(cause, str | None):
            error.add_note(f"The handler's fingerprint of this is not text but {type(cause).__name__}.")
            cause = None
    failure = Failure.of(error, message.group, handler.name, cause=cause)
    return replace(failure, dependency=handler.depends_on) if handler.is_outage(error) else failure


def _bury(
    message: ReceivedMessage, handler: Handler, error: BaseException, letter: DeadLetter | None, *, is_dead: bool
) -> Failure:
    delay = None if is_dead else handler.delay_after(message.attempt, error)
    return _store(message, handler, describe(message, handler, error), letter, delay=delay)


def _store(
    message: ReceivedMessage, handler: Handler, failure: Failure, letter: DeadLetter | None, *, delay: timedelta | None
) -> Failure:
    if letter is None:
        burial.bury_received(message, failure, handler=handler, delay=delay)
        return failure
    with suppress(IllegalTransition):  # somebody acted on the letter after the attempt was rolled back
        burial.fail_again(letter, failure, delay=delay)
    return failure


def _skip(message: ReceivedMessage, error: BaseException, letter: DeadLetter | None) -> None:
    reason = one_line(error)

    def skip(letter: DeadLetter | None) -> None:
        if letter is not None:
            burial.skip(letter, actor=actor, reason=reason)

    actor = _actor(letter)
    if _conclude(message, letter, Outcome.SKIPPED, reason, skip):
        signals.tell(signals.message_skipped, InboxMessage, message=message, why="decision", reason=reason)


def _compensate(
    message: ReceivedMessage, handler: Handler, error: BaseException, choice: Compensate, letter: DeadLetter | None
) -> Failure:
    actor, by = _actor(letter), dotted_path(choice.function)
    failure = describe(message, handler, error)

    def compensate(letter: DeadLetter | None) -> None:
        with tracing.handling(message), handler.limited(message):
            choice.function(message, error)
        burial.compensate(message, failure, handler=handler, letter=letter, actor=actor, by=by)

    _conclude(message, letter, Outcome.COMPENSATED, one_line(error), compensate)
    return failure


def _conclude(
    message: ReceivedMessage,
    letter: DeadLetter | None,
    outcome: Outcome,
    reason: str,
    act: Callable[[DeadLetter | None], None],
) -> bool:
    """Write the inbox row that ends the message, and act with its open letter, in one transaction; tell if it was done.

    A retry locks its letter first and the inbox row after it, as at the attempt; everybody else locks the inbox row
    first and passes over a letter that is locked. So no two wait for each other, and of two one finds the row written.
    """
    with transaction.atomic(using=_database()):
        own = letter and burial.lock_retrying(letter)
        if letter is not None and own is None:
            return False  # somebody acted on it meanwhile
        is_first = InboxMessage.objects.claim(message, message.group, outcome=outcome, reason=reason)
        found = burial.lock_open(message) if letter is None else own
        if is_first:
            act(found)
        elif found is not None and found.allows("resolve"):
            burial.resolve(found, actor=_actor(letter))
    if not is_first:
        signals.tell(signals.message_skipped, InboxMessage, message=message, why="duplicate", reason="")
    return is_first


def _actor(letter: DeadLetter | None) -> str:
    return Source.CONSUMER.value if letter is None else RETRIES


def _database() -> str:
    return router.db_for_write(InboxMessage)
