"""Every error this app raises.

    DlqError
    ├── PublishError                 nothing was written
    │   ├── OutsideTransaction       also a TransactionManagementError
    │   ├── InsideTransaction        also a TransactionManagementError
    │   ├── InvalidMessage           also a ValueError
    │   ├── BodyNotSerializable      also a TypeError
    │   └── MessageTooLarge          also a ValueError
    ├── UnreadableBody               also a ValueError; raised by message.json() and .text()
    ├── BrokerError
    │   ├── BrokerUnavailable        costs time, never an attempt
    │   │   └── TopicUnavailable     the broker is well, but for this topic or a part of it
    │   ├── RejectedTogether         costs time, and the broker is well
    │   ├── MessageRefused           the message's own fault
    │   └── HeldBack                 the fault of an earlier message of its key
    ├── LeaseLost                    another relay has taken over
    ├── RelayIsOff                   Debezium sends the outbox
    ├── HandlerDecision              raised by a handler to say what shall happen
    │   ├── RetryLater
    │   ├── Reject
    │   └── Skip
    ├── DependencyDown               raised by a handler or a probe: what it depends on is down
    ├── UnknownHandler               a letter's handler is no longer in the code
    ├── HandlerConflict              two handlers claim the same messages; also ImproperlyConfigured
    ├── Expired                      a message outlived its expiry
    ├── SwallowedError               a handler went on after a database error that undid its transaction
    ├── TimeLimitExceeded            a handler took longer than its `timeout`
    ├── ProcessDied                  with a message in hand, again and again
    ├── GroupIsStopped               too many of its messages failed in this release
    ├── HalfMessageError             about half messages
    │   ├── DecidedOtherwise         it is too late
    │   ├── UnknownHalfMessage       also a LookupError
    │   ├── UnknownChecker           no function of this project has the name
    │   ├── CheckerConflict          also ImproperlyConfigured
    │   ├── CheckerUnreachable       a check that did not reach a checker
    │   ├── InvalidVerdict           also a TypeError; a checker has not returned a Verdict
    │   ├── BadAnswer                a producer was asked, and has said nothing of use
    │   ├── TopicForbidden           a producer may not publish there
    │   └── IdempotencyKeyReused     a producer has given a key again, for another message
    └── DeskError
        ├── IllegalTransition        the letter's state does not allow it (any more)
        ├── ReasonRequired           also a ValueError
        ├── InvalidSwitch            also a ValueError; there is no such thing to pause or resume
        └── UnknownDependency        also a ValueError; no handler depends on it

`code` is stable: the API returns it, logs carry it, and tests may compare it.
"""

from datetime import timedelta
from typing import ClassVar, Final

from django.core.exceptions import ImproperlyConfigured
from django.db.transaction import TransactionManagementError

LONGEST_DELAY: Final = timedelta(days=36_500)
"""A moment past the last one a database knows is an error on one and NULL, which means now, on another."""


class DlqError(Exception):
    """The root of every error of this app."""

    code: ClassVar[str] = "error"


class PublishError(DlqError):
    """The message was not written to the outbox."""

    code = "not_published"


class OutsideTransaction(PublishError, TransactionManagementError):
    """publish() was called outside transaction.atomic() of the database that the outbox row goes to."""

    code = "outside_transaction"


class InsideTransaction(PublishError, TransactionManagementError):
    """prepare() was called inside transaction.atomic(), so that the half message could still be rolled back."""

    code = "inside_transaction"


class InvalidMessage(PublishError, ValueError):
    """A part of the message cannot be sent as it is."""

    code = "invalid_message"


class BodyNotSerializable(PublishError, TypeError):
    """The body is not bytes, text, or something that JSON can express."""

    code = "body_not_serializable"


class MessageTooLarge(PublishError, ValueError):
    """Key, body and headers together exceed DLQ_MAX_MESSAGE_BYTES."""

    code = "message_too_large"


class UnreadableBody(DlqError, ValueError):
    """The body is not what the handler asked it to be read as; a retry would read the same bytes."""

    code = "unreadable_body"


class BrokerError(DlqError):
    """The broker did not take a message, or did not give one."""

    code = "broker_error"


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached or does not answer in time: the message may or may not have arrived."""

    code = "broker_unavailable"


class TopicUnavailable(BrokerUnavailable):
    """The broker answers, but has not taken this message in time: perhaps its partition has no leader."""

    code = "topic_unavailable"


class RejectedTogether(BrokerError):
    """It was rejected together with others, and there was no time to find out which of them is at fault."""

    code = "rejected_together"


class MessageRefused(BrokerError):
    """The broker will not take this message, however often it is offered."""

    code = "message_refused"


class HeldBack(BrokerError):
    """It was not sent, since an earlier message of its key was refused; nothing is known against it."""

    code = "held_back"


class LeaseLost(DlqError):
    """The lease has passed to another relay, so this one must not write any more."""

    code = "lease_lost"


class RelayIsOff(DlqError):
    """The project has chosen Debezium, beside which a relay would send every message a second time."""

    code = "relay_is_off"


class HandlerDecision(DlqError):
    """What a handler raises to decide about its message."""

    code = "handler_decision"


class RetryLater(HandlerDecision):
    """Try this message again, after `delay` if given, else after the next step of the retry policy.

    It counts as an attempt: when the policy's steps are used up, the message is dead. Raises TypeError or ValueError
    for a delay that no database can wait for.
    """

    code = "retry_later"

    def __init__(self, reason: str = "", *, delay: timedelta | None = None) -> None:
        super().__init__(reason)
        if delay is not None and not isinstance(delay, timedelta):
            raise TypeError(f"delay is a timedelta, not {delay!r}")
        if delay is not None and not timedelta(0) <= delay <= LONGEST_DELAY:
            raise ValueError(f"delay is from 0 to {LONGEST_DELAY.days} days, not {delay}")
        self.delay = delay


class Reject(HandlerDecision):
    """Make this message a dead letter at once, without any retry."""

    code = "rejected"


class Skip(HandlerDecision):
    """Pass this message over for good: it is neither handled nor a dead letter, and the inbox keeps the reason."""

    code = "skipped"


class DependencyDown(DlqError):
    """What the handler depends on cannot be used now; once its circuit is open, this costs the message no attempt."""

    code = "dependency_down"


class UnknownHandler(DlqError):
    """No handler of this group takes this message any more."""

    code = "unknown_handler"


class HandlerConflict(DlqError, ImproperlyConfigured):
    """Two handlers of one group would both take the same message."""

    code = "handler_conflict"


class Expired(DlqError):
    """The message was not sent, or not handled, before the time that its publisher set."""

    code = "expired"


class SwallowedError(DlqError):
    """A handler has caught a database error outside a savepoint, so that nothing that it wrote can be committed."""

    code = "swallowed_error"


class TimeLimitExceeded(DlqError):
    """A handler was stopped at a database statement, or with its process, since it took longer than its `timeout`."""

    code = "time_limit_exceeded"


class ProcessDied(DlqError):
    """So many processes have died with one message in hand that it is not given to its handler any more.

    `is_only_that`: one has died while it was asked what shall become of it, too, so that nobody is asked again.
    """

    code = "process_died"

    def __init__(self, reason: str = "", *, is_only_that: bool = False) -> None:
        super().__init__(reason)
        self.is_only_that = is_only_that


class GroupIsStopped(DlqError):
    """A consumer group takes nothing in this release, since too many of its messages failed, until a person acts."""

    code = "group_is_stopped"


class HalfMessageError(DlqError):
    """Something about a half message is not as the caller believes."""

    code = "half_message_error"


class DecidedOtherwise(HalfMessageError):
    """A check, a person or another process was faster, and decided otherwise; this decision must not be built upon."""

    code = "decided_otherwise"


class UnknownHalfMessage(HalfMessageError, LookupError):
    """There is no such half message; perhaps it was decided so long ago that retention has deleted it."""

    code = "unknown_half_message"


class UnknownChecker(HalfMessageError):
    """No checker has this name, in no module that is found at start."""

    code = "unknown_checker"


class CheckerConflict(HalfMessageError, ImproperlyConfigured):
    """Two functions want to be the checker of one name."""

    code = "checker_conflict"


class CheckerUnreachable(HalfMessageError):
    """A check did not reach the checker, so that it does not count as one."""

    code = "checker_unreachable"


class InvalidVerdict(HalfMessageError, TypeError):
    """A checker has returned something else than a Verdict; it counts as UNKNOWN."""

    code = "invalid_verdict"


class BadAnswer(HalfMessageError):
    """A producer was asked, and its answer is late, too long, an error, or no verdict: it counts as UNKNOWN."""

    code = "bad_answer"


class TopicForbidden(HalfMessageError):
    """A producer is not allowed to publish to this topic."""

    code = "topic_forbidden"


class IdempotencyKeyReused(HalfMessageError):
    """A producer has prepared another message with the same idempotency key."""

    code = "idempotency_key_reused"


class DeskError(DlqError):
    """An act of a person was not carried out, and nothing was changed."""

    code = "desk_error"


class IllegalTransition(DeskError):
    """The letter is not in a state from which this is possible, perhaps because somebody else was faster."""

    code = "illegal_transition"


class ReasonRequired(DeskError, ValueError):
    """This act needs a reason, since it will be read long after everybody has forgotten."""

    code = "reason_required"


class InvalidSwitch(DeskError, ValueError):
    """What shall be paused or resumed is not one topic, one key of a topic, or one broker of DLQ_BROKERS."""

    code = "invalid_switch"


class UnknownDependency(DeskError, ValueError):
    """No handler depends on what was named, so its circuit would stop nothing."""

    code = "unknown_dependency"
