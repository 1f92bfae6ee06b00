"""A model of what the relay promises: a clock that a test moves, a broker with a memory, and what must always hold.

What is promised, exactly, and looked at whenever something arrives or has been done:

1. What was committed is in the outbox, has arrived, or is a dead letter; and in the end the outbox is empty.
2. What was rolled back never arrives.
3. Of one topic and key, messages without a delay arrive for the first time in the order in which they were published,
   whatever their priorities are. Only dead letters are passed over; in a topic of DLQ_HOLD_TOPICS only expired ones,
   and those that a person has replayed or discarded. Not promised: the order of delayed messages, of messages without
   a key, and of different keys.
4. Nothing arrives before its time, and nothing is sent after its expiry that was not already in hand then.
5. What another relay has taken over leaves the outbox only by that relay: a completion of an old epoch changes nothing.
6. What is paused does not arrive, from a second after the pause on.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import pytest
from django.db import connection

from django_dlq.brokers.base import Broker, Receipt, Subscription, one_by_one
from django_dlq.circuit_breaker import CircuitBreaker
from django_dlq.exceptions import BrokerUnavailable, MessageRefused
from django_dlq.hold_policy import EXPIRED
from django_dlq.message import ID, Record
from django_dlq.models import DeadLetter, OutboxMessage
from tests.scenarios import database_clock

BROKER = "tests.scenarios.model.ModelBroker"
HOLDING = "payments"
TOPICS = ("orders", HOLDING)
EPOCH = datetime(2030, 1, 1, tzinfo=UTC)

Thread = tuple[str, str]
"""A topic and a key."""


class Crash(BaseException):
    """The process dies here."""


class Answer(Enum):
    """What becomes of one record."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"
    LOST = "not stored, since the broker is out of reach"
    UNHEARD = "stored, and the answer is lost"


class Clock:
    """The one clock of the database and of all processes, which moves only when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def install(self, patches: pytest.MonkeyPatch) -> None:
        """Let everybody go by it."""
        patches.setattr(time, "monotonic", self.now)
        patches.setitem(CircuitBreaker.__init__.__kwdefaults__, "clock", self.now)
        database_clock.install(patches)
        self._tell_database()

    def now(self) -> float:
        """Return the seconds of this clock."""
        return self.seconds

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self._tell_database()

    def _tell_database(self) -> None:
        database_clock.tell(EPOCH + timedelta(seconds=self.seconds))


@dataclass(frozen=True)
class Known:
    """What is known of a committed message."""

    thread: Thread | None
    is_ordered: bool
    not_before: float
    not_after: float
    broker: str = "default"


class Promises:
    """What was committed and what arrived, and the faults that were found."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.committed: dict[str, Known] = {}
        self.order: dict[Thread, list[str]] = defaultdict(list)
        self.arrived: dict[str, Record] = {}
        self.settled: set[str] = set()
        self.paused: dict[Thread | str, float] = {}
        self.faults: list[str] = []
        self.is_interrupted = False
        self._in_hand_since: float | None = None

    @contextmanager
    def in_hand(self, since: float | None) -> Iterator[None]:
        """Take into account that what is sent meanwhile is in hand since then, and not only since now."""
        before, self._in_hand_since = self._in_hand_since, since
        try:
            yield
        finally:
            self._in_hand_since = before

    def commit(self, row: OutboxMessage, known: Known) -> None:
        """Take note of a message that was committed."""
        self.committed[row.message_id] = known
        if known.thread and known.is_ordered:
            self.order[known.thread].append(row.message_id)

    def replay(self, name: str) -> None:
        """Take note that a person has sent a message again, which takes its expiry away."""
        self.committed[name] = replace(self.committed[name], not_after=float("inf"))

    def arrive(self, record: Record) -> None:
        """Compare what has just arrived with the promises."""
        name = (record.header(ID) or b"").decode()
        known = self.committed.get(name)
        if known is None:
            self.faults.append(f"{name} arrived and was never committed")
            return
        self._check_time(name, known)
        if name in self.arrived:
            first = self.arrived[name]
            same = (first.key, first.body, first.topic) == (record.key, record.body, record.topic)
            self.faults += [] if same else [f"{name} arrived again as another message"]
            return
        self.arrived[name] = record
        if known.thread and known.is_ordered:
            self._check_order(name, known.thread)

    def check(self) -> None:
        """Fail if a promise is broken."""
        assert not self.faults, self.faults
        lost = set(self.committed) - set(self.arrived) - _in_outbox() - _letters()
        assert not lost, f"lost: {lost}"

    def _check_time(self, name: str, known: Known) -> None:
        now = self.clock.now()
        if now < known.not_before:
            self.faults.append(f"{name} arrived {known.not_before - now:.3f} s before its time")
        if self.is_interrupted:
            return  # it was in hand before
        read = now if self._in_hand_since is None else self._in_hand_since
        if read > known.not_after:
            self.faults.append(f"{name} was sent {now - known.not_after:.3f} s after its expiry")
        for what in filter(None, (known.thread, known.thread and known.thread[0])):
            if read > self.paused.get(what, read) + 1.5:
                self.faults.append(f"{name} was sent though {what} is paused")

    def _check_order(self, name: str, thread: Thread) -> None:
        order = self.order[thread]
        before = [earlier for earlier in order[: order.index(name)] if earlier not in self.arrived]
        skipped = self.settled | _expired() if thread[0] == HOLDING else _letters()
        # What has expired is given up after what is still in time has been sent.
        now = self.clock.now()
        wrong = [earlier for earlier in before if earlier not in skipped and now < self.committed[earlier].not_after]
        if wrong:
            self.faults.append(f"{name} of {thread} arrived before {wrong}")


class ModelBroker(Broker):
    """Do what the test says with each record, and tell the promises what has arrived."""

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        super().__init__(alias, options)
        self.promises: Promises | None = None
        self.depth = 0
        self.reset()

    def reset(self) -> None:
        """Confirm everything from now on."""
        self.answers: list[Answer] = []
        self.before: Callable[[], object] = lambda: None
        self.after: Callable[[], object] = lambda: None

    def send(self, records: Sequence[Record], timeout: float) -> list[Receipt]:
        assert len(connection.savepoint_ids) == self.depth, "a transaction is open while the broker is spoken to"
        before, after, answers = self.before, self.after, self.answers
        self.reset()  # whatever happens meanwhile meets a broker that is well
        before()
        receipts = one_by_one(records, lambda record: self._store(record, answers))
        after()
        return receipts

    def subscribe(self, topics: Sequence[str], group: str) -> Subscription:
        raise NotImplementedError

    def _store(self, record: Record, answers: list[Answer]) -> Receipt:
        answer = answers.pop(0) if answers else Answer.CONFIRMED
        if answer is Answer.REFUSED:
            return Receipt(error=MessageRefused("it is too large"))
        if answer is not Answer.LOST and self.promises:
            self.promises.arrive(record)
        return Receipt(error=None if answer is Answer.CONFIRMED else BrokerUnavailable(answer.value))


class Failing:
    """Let the N-th statement that writes fail, before the database does it or after."""

    def __init__(self, number: int, error: BaseException, *, after: bool) -> None:
        self.left, self.error, self.after = number, error, after

    def __call__(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        is_writing = sql.startswith(("INSERT", "UPDATE", "DELETE"))
        self.left -= is_writing
        fails = is_writing and self.left == 0
        if fails and not self.after:
            raise self.error
        result = execute(sql, *arguments)
        if fails:
            raise self.error
        return result


def _in_outbox() -> set[str]:
    return set(OutboxMessage.objects.values_list("message_id", flat=True))


def _letters() -> set[str]:
    return set(DeadLetter.objects.values_list("message_id", flat=True))


def _expired() -> set[str]:
    return set(DeadLetter.objects.filter(error_class=EXPIRED).values_list("message_id", flat=True))
