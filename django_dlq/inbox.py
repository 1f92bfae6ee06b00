"""Handle each message once per group, in one transaction with your own rows.

@inbox.handler("orders", group="shipping", tags=["paid"])
def ship(message):
    Box.objects.create(order_id=message.json()["order"])
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.db import connections, router, transaction

from django_dlq import message as wire
from django_dlq.encoding import encode_body, encode_headers
from django_dlq.exceptions import DependencyDown, Expired, InvalidMessage, Reject, RetryLater, Skip, SwallowedError
from django_dlq.failure_rule import Compensate, Decision, FailureRule, Fingerprint, check_rule
from django_dlq.message import IDENTITY_LENGTH, Body, ReceivedMessage, Record, is_text, readable
from django_dlq.models import InboxMessage, database_now
from django_dlq.probes import check_dependency, probe
from django_dlq.rate_limit import per_second
from django_dlq.registry import Handler, HandlerFunction, handlers
from django_dlq.retry_policy import RetryPolicy

__all__ = [
    "Compensate",
    "Decision",
    "DependencyDown",
    "Reject",
    "RetryLater",
    "RetryPolicy",
    "Skip",
    "handle_once",
    "handler",
    "message",
    "probe",
]

Function = TypeVar("Function", bound=Callable[[Any], object])
GROUP_LENGTH = 100
MOST_IN_BATCH = 5_000
"""As many inbox rows as every database takes in one statement."""

MOST_THREADS = 200
IN_ERROR = 3
"""libpq's PQTRANS_INERROR."""


def handler(
    *topics: str,
    group: str,
    tags: Iterable[str] = (),
    retry: RetryPolicy | None = None,
    broker: str = "default",
    on_failure: FailureRule | None = None,
    fingerprint: Fingerprint | None = None,
    batch_size: int | None = None,
    concurrency: int = 1,
    timeout: timedelta | None = None,
    rate_limit: str | float | None = None,
    ordered: bool = False,
    depends_on: str = "",
) -> Callable[[Function], Function]:
    """Register a function that handles the messages of these topics for a consumer group.

    The function is called with a ReceivedMessage inside transaction.atomic(); what it writes to that database is
    committed together with the fact that the message was handled. It raises `Reject("why")` to make a dead letter at
    once, `RetryLater("why", delay=...)` to be called again later, and `Skip("why")` to pass the message over; any other
    exception follows `on_failure` if that says something else (a dict of exception classes, or a function of the
    message and the error, with a Decision or Compensate), and then `retry`, by default DLQ_RETRY_DELAYS.
    `fingerprint`, a function of the message and the error, returns a text that is equal for failures of one cause. With
    `tags` it is called only for messages that carry one of them. The function stays callable.

    With `batch_size` it is called with a list of one to so many messages that are new, in their order, in one
    transaction. If it raises, the list is halved until the message that it fails on is alone.

    At most `concurrency` calls run at once in a process, in threads with database connections of their own; messages of
    one key still run one after the other. `rate_limit`, "100/s" or a number per second, is for one process too. A call
    that takes longer than `timeout` fails at its next database statement; one that makes none within
    DLQ_CONSUMER_GRACE counts as failed, and ends the process.

    With `ordered`, a message on which it fails lets the later ones of its topic and record key wait, until it is
    handled, skipped, compensated or discarded: they are parked in the database, and then handled one after the other by
    the machines that make retries. Messages of other keys, and those without a key, do not wait.

    `depends_on` names what the function cannot do without, such as another service. While that is down, as its `probe`
    and the function's own failures tell, the function is not called, and its messages wait in the broker.

    Raises HandlerConflict if another handler of the group takes the same messages.
    Not promised: that effects outside the database happen once.
    """
    _check_names(topics, group)
    if batch_size is not None:
        _check_number(batch_size, what="batch_size", most=MOST_IN_BATCH)
    _check_number(concurrency, what="concurrency", most=MOST_THREADS)
    if timeout is not None and not (isinstance(timeout, timedelta) and timeout > timedelta(0)):
        raise TypeError(f"timeout is a timedelta above 0, not {timeout!r}")
    if isinstance(tags, str):
        raise TypeError(f"tags is a list of tags, not the text {tags!r}")
    if fingerprint is not None and not callable(fingerprint):
        raise TypeError(f"fingerprint is a function of a message and an error, not {fingerprint!r}")
    if not isinstance(ordered, bool):
        raise TypeError(f"ordered is True or False, not {ordered!r}")
    check_rule(on_failure)
    if depends_on:
        check_dependency(depends_on)

    def register(function: Function) -> Function:
        handlers.add(
            Handler(
                function=function,
                topics=topics,
                group=group,
                tags=frozenset(tags),
                retry=retry,
                broker=broker,
                on_failure=on_failure,
                fingerprint=fingerprint,
                batch_size=batch_size,
                concurrency=concurrency,
                timeout=timeout,
                messages_per_second=None if rate_limit is None else per_second(rate_limit),
                ordered=ordered,
                depends_on=depends_on,
            )
        )
        return function

    return register


def handle_once(message: ReceivedMessage, group: str, function: HandlerFunction) -> bool:
    """Call the function with the message in one transaction with its inbox row; return False if it was handled before.

    An exception of the function rolls both back and is raised, `Reject`, `RetryLater` and `Skip` too: what they ask for
    is done for handlers only. While another process handles the same message this waits for it, and then skips or
    handles. Raises TypeError for a group that no inbox row can have.
    Not promised: that effects outside the database happen once.
    """
    _check_group(group)
    if message.group != group:
        message = replace(message, group=group)
    using = router.db_for_write(InboxMessage)
    with transaction.atomic(using=using):
        claimed = InboxMessage.objects.claim(message, group)
        if claimed:
            function(message)
            expect_sound_transaction(using)
    return claimed


def message(
    topic: str,
    body: Body | None,
    *,
    message_key: str,
    message_id: str | None = None,
    key: str | None = None,
    tag: str = "",
    headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes | None]] = (),
) -> ReceivedMessage:
    """Make a message of what reached you in another way than through a consumer, to give it to `handle_once`.

    topic: a name for where such messages come from. body: as for `outbox.publish`; None is a tombstone.
    message_key: what is equal for each delivery of one message, and for no other message; the sender's own id of it,
    not one that you make up on receipt. message_id: the identity of this sending, message_key if not given.

    Raises InvalidMessage or BodyNotSerializable.
    """
    identities = {"topic": topic, "message_key": message_key, "message_id": message_id or message_key}
    for name, text in identities.items():
        if not text or not is_text(text):
            raise InvalidMessage(f"{name} must be text, not empty, without NUL and lone surrogates, not {text!r}")
    own = ((wire.ID, message_id or message_key), (wire.MESSAGE_KEY, message_key), (wire.TAG, tag))
    record = Record(
        topic=topic,
        key=None if key is None else encode_body(str(key)),
        body=None if body is None else encode_body(body),
        headers=(*encode_headers(headers), *((name, encode_body(text)) for name, text in own if text)),
    )
    return ReceivedMessage.of(record, "")


def expect_sound_transaction(using: str) -> None:
    """Raise SwallowedError if this transaction cannot be committed any more.

    Django and PostgreSQL would both roll it back without a word, and the message would be gone as if handled.
    """
    connection = connections[using]
    if connection.needs_rollback or _is_in_error(connection.connection):
        raise SwallowedError(
            "the handler caught a database error, which has undone its transaction; catch it around "
            "transaction.atomic(), inside the handler, so that only that part is undone"
        ) from getattr(connection, "rollback_exc", None)


def _is_in_error(driver: object) -> bool:
    # PostgreSQL's know it without asking the server. That of psycopg 3 knows it at once from libpq; its `info`, which
    # is all that psycopg 2 has, is made anew for each question.
    known = getattr(driver, "pgconn", None) or getattr(driver, "info", None)
    return getattr(known, "transaction_status", None) == IN_ERROR


def expires_at(message: ReceivedMessage) -> datetime | None:
    """Return until when the message's publisher wanted it to be handled, or None if it did not say so."""
    header = message.record.header(wire.EXPIRES)
    if header is None:
        return None
    with suppress(ValueError):  # another system's header of this name says nothing to us
        moment = datetime.fromisoformat(readable(header))
        return moment if moment.tzinfo else None
    return None


def check_expiry(message: ReceivedMessage) -> None:
    """Raise Expired if the message's publisher wanted it to be handled before now, by the database's clock."""
    moment = expires_at(message)
    if moment is not None and moment <= database_now(router.db_for_write(InboxMessage)):
        raise Expired(f"expired: it was to be handled before {message.headers[wire.EXPIRES]}, and was not")


def _check_names(topics: tuple[str, ...], group: str) -> None:
    if not topics or not all(isinstance(topic, str) and 0 < len(topic) <= IDENTITY_LENGTH for topic in topics):
        raise TypeError(f"name the topics: @inbox.handler('orders', group='shipping'), not {topics!r}")
    _check_group(group)


def _check_group(group: object) -> None:
    if not isinstance(group, str) or not 0 < len(group) <= GROUP_LENGTH:
        raise TypeError(f"group is a text of 1 to {GROUP_LENGTH} characters, not {group!r}")


def _check_number(number: int, *, what: str, most: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= most:
        raise TypeError(f"{what} is a number from 1 to {most}, not {number!r}")
