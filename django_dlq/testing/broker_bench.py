"""A broker under test with one topic of its own: what the conformance tests are written with."""

import os
import signal
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterable, Sequence

from django_dlq.brokers.base import Broker, Receipt, Subscription
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.message import Record

SECONDS = 30.0
"""How long anything may take before a test gives up."""

FORKS = 3


class Bench:
    """A broker, a topic that nobody else uses, and groups that nobody else is in."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.topic = f"conformance-{uuid.uuid4().hex}"
        self._members: list[Subscription] = []

    def record(self, body: bytes | None, *, key: bytes | None = None) -> Record:
        """Return a record for the topic."""
        return Record(topic=self.topic, key=key, body=body)

    def numbered(self, *numbers: int) -> list[Record]:
        """Return records whose key and body are a number."""
        return [self.record(b"%d" % number, key=b"%d" % number) for number in numbers]

    def send(self, *records: Record) -> list[Receipt]:
        """Send records, all of which must be confirmed."""
        receipts = self.broker.send(records, SECONDS)
        assert [receipt.error for receipt in receipts] == [None] * len(records)
        return receipts

    def join(self, group: str = "group") -> Subscription:
        """Join a group as one more member."""
        member = self.broker.subscribe([self.topic], f"{self.topic}-{group}")
        self._members.append(member)
        return member

    def receive(self, member: Subscription, count: int) -> list[Record]:
        """Return what a member is given until it has this many records."""
        records: list[Record] = []
        until(lambda: len(records) >= count, doing=lambda: records.extend(poll(member, 0.5)))
        assert len(records) == count, f"{len(records)} records came, not {count}"
        return records

    def read(self, count: int) -> list[Record]:
        """Return the first records of the topic, by a member of a group of its own."""
        return self.receive(self.join(uuid.uuid4().hex), count)

    def close(self) -> None:
        """Close whatever was opened."""
        for member in self._members:
            member.close()


def poll(member: Subscription, timeout: float) -> list[Record]:
    """Poll, taking an outage for an empty answer."""
    try:
        return member.poll(1000, timeout)
    except BrokerUnavailable:
        return []


def until(condition: Callable[[], bool], *, doing: Callable[[], object]) -> None:
    """Repeat something until a condition holds; fail if it does not in time."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {SECONDS:g} seconds"
        doing()


def bodies(records: Iterable[Record]) -> list[bytes | None]:
    """Return the bodies of records in an order that does not depend on partitions."""
    return sorted((record.body for record in records), key=lambda body: body or b"")


def failure_in_child(action: Callable[[], object]) -> str:
    """Fork, and return as text what the action returned or raised in the child; nothing if it returned None.

    A child that hangs is tried anew: whatever the broker does, it may inherit a lock that a thread of the parent had
    taken, of the C library for one. A child that fails is not.
    """
    for _ in range(FORKS):
        failure, status = _outcome_in_child(action)
        if status != -signal.SIGALRM:
            break
    return failure or (f"the child ended with status {status}" if status else "")


def _outcome_in_child(action: Callable[[], object]) -> tuple[str, int]:
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python warns of forking with threads around: whether a broker bears that is what is to be seen.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _end_child(action, writer)
    os.close(writer)
    with os.fdopen(reader) as told:
        failure = told.read()
    return failure, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _end_child(action: Callable[[], object], writer: int) -> None:
    status = 1
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(SECONDS))
        failure = action()
        os.write(writer, b"" if failure is None else repr(failure).encode())
        status = 0
    except BaseException:  # noqa: BLE001  # the parent is told of whatever it was
        os.write(writer, traceback.format_exc().encode())
    finally:
        os._exit(status)


def are_unavailable(receipts: Sequence[Receipt]) -> bool:
    """Return whether every receipt says that its record may be sent again."""
    return all(isinstance(receipt.error, BrokerUnavailable) for receipt in receipts)
