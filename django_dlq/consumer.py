"""Take a group's messages from the broker and hand each to its handler, once.

Per message: one transaction with the inbox row and the handler's own rows. A failure is stored as a letter in a
transaction of its own. Only when one of the two is committed may the message's offset pass.
"""

import time
from collections import deque

from django.db import InterfaceError, OperationalError

from django_dlq import burial, failures, inbox, signals, tracing
from django_dlq import message as wire
from django_dlq.brokers import brokers
from django_dlq.brokers.base import Subscription
from django_dlq.conf import conf
from django_dlq.debezium import as_relayed
from django_dlq.message import ReceivedMessage, Record, readable
from django_dlq.registry import Handler, handlers
from django_dlq.runner import lost_connection, open_connections

SECONDS_BETWEEN_COMMITS = 1.0
"""After so long a batch is interrupted: its offsets are committed, and a SIGTERM is heard."""

LONGEST_LETTER_ID = 18
"""Digits: any more would not be a number that every database can look for."""


class Consumer:
    """One member of a consumer group."""

    def __init__(self, group: str) -> None:
        of_group = handlers.expect(group)
        self.group = group
        self.topics = sorted({topic for handler in of_group for topic in handler.topics})
        self.broker = of_group[0].broker
        self._subscription: Subscription | None = None
        self._in_hand: deque[Record] = deque()
        self._done: list[Record] = []

    def run_once(self, timeout: float = 1.0) -> int:
        """Settle some messages and commit their offsets; wait up to `timeout` seconds for the first.

        Returns how many were settled: handled, skipped, or stored as letters. If the database or the broker fails in
        between, that error is raised, and the next call goes on with the message that was in hand.
        """
        if self._subscription is None:
            self._subscription = brokers[self.broker].subscribe(self.topics, self.group)
        if not self._in_hand:
            self._in_hand.extend(self._subscription.poll(conf.DLQ_CONSUMER_BATCH, timeout))
        try:
            settled = self._settle()
        finally:
            self._commit(self._subscription)
        return settled

    def close(self) -> None:
        """Leave the group, so that other members take over at once."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        self._in_hand.clear()
        self._done.clear()

    def _settle(self) -> int:
        started, settled = time.monotonic(), 0
        while self._in_hand and time.monotonic() - started < SECONDS_BETWEEN_COMMITS:
            settle(self.group, self._in_hand[0])
            self._done.append(self._in_hand.popleft())
            settled += 1
        return settled

    def _commit(self, subscription: Subscription) -> None:
        if self._done:
            subscription.commit(self._done)
            self._done.clear()


def settle(group: str, record: Record) -> None:
    """Handle a record, skip it, or store a letter. Raises only if the database cannot be reached."""
    record = as_relayed(record)
    message = ReceivedMessage.of(record, group)
    handler = handlers.match(group, record.topic, message.tag)
    if handler is None:
        signals.tell(signals.message_skipped, Consumer, message=message, why="tag")
        return
    only_for = record.header(wire.GROUP)
    if only_for and readable(only_for) != group:
        signals.tell(signals.message_skipped, Consumer, message=message, why="group")
        return
    try:
        _handle_over_a_break(message, handler)
    except BaseException as error:  # whatever a handler raises is the letter's content, SystemExit too
        if isinstance(error, KeyboardInterrupt) or lost_connection(error):
            raise
        failures.settle(message, handler, error)


def _handle_over_a_break(message: ReceivedMessage, handler: Handler) -> None:
    """Handle it, and once more at once if the database connection broke meanwhile, or had while nothing was to do.

    That is not the message's fault, and costs it no attempt. A handler that breaks the second connection too is to
    blame.
    """
    before = open_connections()
    try:
        _handle(message, handler)
    except (OperationalError, InterfaceError):
        if open_connections() == before:
            raise
        _handle(message, handler)


def _handle(message: ReceivedMessage, handler: Handler) -> None:
    def handle(message: ReceivedMessage) -> None:
        inbox.check_expiry(message)
        with tracing.handling(message):
            handler.function(message)
        _end_replay(message)

    if inbox.handle_once(message, message.group, handle):
        signals.tell(signals.message_handled, Consumer, message=message, handler=handler)
    else:
        _end_replay(message)
        signals.tell(signals.message_skipped, Consumer, message=message, why="duplicate")


def _end_replay(message: ReceivedMessage) -> None:
    number = message.record.header(wire.LETTER)
    if not number or not message.record.header(wire.GROUP):
        return
    if number.isdigit() and len(number) <= LONGEST_LETTER_ID:
        burial.resolve_replay_of(message, int(number))
