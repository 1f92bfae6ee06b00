"""Write a failure into a letter, new or not, and into its timeline: in the caller's transaction."""

from datetime import timedelta
from typing import Any

from django_dlq.fingerprint import Failure
from django_dlq.hold_policy import EXPIRED
from django_dlq.letter_columns import failure_columns
from django_dlq.models import DeadLetter, DeadLetterEvent, Kind, State, in_future, let_go


def new_letter(failure: Failure, *, delay: timedelta | None, **columns: Any) -> DeadLetter:
    """Make a letter of a message that fails for the first time: to be retried after `delay`, or dead without one."""
    columns.setdefault("state", State.DEAD if delay is None else State.RETRYING)
    letter = DeadLetter.objects.create(
        next_attempt_at=None if delay is None else in_future(delay),
        attempts=1,
        **failure_columns(failure),
        **columns,
    )
    # What the database's clock has filled in.
    letter.refresh_from_db(fields=["next_attempt_at", "closed_at"])
    note_failure(letter, failure, is_new=True)
    return letter


def write_failure(
    letter: DeadLetter, failure: Failure, *, delay: timedelta | None, verb: str = "", **changes: Any
) -> None:
    """Write into a letter that its message has failed again, with one of the verbs of a failed attempt."""
    is_new = failure.fingerprint != letter.fingerprint
    changes |= failure_columns(failure)
    letter.failed_again(verb or ("give_up" if delay is None else "retry"), delay=delay, **changes)
    note_failure(letter, failure, is_new=is_new)
    if failure.error_class == EXPIRED:
        let_go(letter, actor=letter.source)


def note_failure(letter: DeadLetter, failure: Failure, *, is_new: bool) -> None:
    """Add a failure to a letter's timeline; is_new: of a cause that the letter has not had."""
    data = failure_data(letter, failure, is_new=is_new)
    DeadLetterEvent.objects.note(letter, Kind.FAILED, actor=letter.source, data=data)


def failure_data(letter: DeadLetter, failure: Failure, *, is_new: bool) -> dict[str, Any]:
    """Return what the timeline keeps of a failure."""
    data = {"attempt": letter.attempts, "error_class": failure.error_class, "error_message": failure.error_message}
    if is_new:  # sixteen retries that fail alike need one traceback
        data["traceback"] = failure.traceback
    return data
