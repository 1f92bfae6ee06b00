"""Take a group's messages from the broker and hand them to their handlers, each once.

What is handled is committed in one transaction with its inbox rows, what fails is stored as a letter. Only when one of
the two is committed may the message's offset pass, and only up to the first that is unfinished in its partition.
"""

import time
from collections.abc import Collection
from contextlib import suppress
from functools import partial

from django_dlq import signals
from django_dlq.brokers import brokers
from django_dlq.conf import conf
from django_dlq.consuming.circuits import Circuits
from django_dlq.consuming.crew import Alone, Crew, Returned, Threads
from django_dlq.consuming.delivery import Delivery
from django_dlq.consuming.hand import Hand
from django_dlq.consuming.hanging import Hanging
from django_dlq.consuming.membership import Membership
from django_dlq.consuming.pace import Pace
from django_dlq.consuming.rates import UNLIMITED, Rates
from django_dlq.consuming.room import Room
from django_dlq.consuming.settling import delivery_of
from django_dlq.consuming.settling import settle as settle_work
from django_dlq.consuming.storm import StormGuard
from django_dlq.consuming.suspicion import Suspicion
from django_dlq.consuming.watch import Watch
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.message import Place, Record
from django_dlq.registry import handlers
from django_dlq.runner import end_process

SECONDS_BETWEEN_COMMITS = 1.0
"""After so long a batch is interrupted: its offsets are committed, and a SIGTERM is heard."""

SECONDS_BETWEEN_POLLS = 0.02
"""How long a message may lie at the broker while somebody is free and others are busy."""

TO_LEAVE = 5.0
"""Of the seconds that it has to end: those for the last commit and for leaving the group; a quarter, if it has few."""


class Consumer:
    """One member of a consumer group.

    With `inline`, everything happens in the thread of `run_once`, on its database connections, and nobody waits for a
    rate limit or is stopped because too much fails: for tests.
    """

    def __init__(self, group: str, *, inline: bool = False) -> None:
        self._handlers = handlers.expect(group)
        self.group = group
        self.topics = sorted({topic for handler in self._handlers for topic in handler.topics})
        self.broker = self._handlers[0].broker
        self.threads = 1 if inline else max(handler.concurrency for handler in self._handlers)
        self._inline = inline
        self._member: Membership | None = None
        self._circuits = Circuits(self._handlers, inline=inline)
        self._guard = StormGuard(group, is_off=inline)
        self._hand = Hand()
        self._space = Room(self._hand, self._handlers, threads=self.threads)
        self._suspicion = Suspicion(group, most_in_hand=self._space.most_in_hand, is_off=inline)
        self._settle = self._suspicion.guard(partial(settle_work, circuits=self._circuits, guard=self._guard))
        self._crew: Crew = Alone(self._settle)
        self._watch: Watch | None = None
        # For those who make the group's retries in the same process, too.
        self.rates = UNLIMITED if inline else Rates(self._handlers)
        self._pace = Pace(self.rates, self._circuits)
        self._hanging = Hanging(
            self._hand, self._suspicion, is_alone=self.threads == 1, end=self._abandon_and_end, told_by=Consumer
        )
        # Whether handlers still ran when it was closed.
        self.has_left_some_behind = False

    @property
    def is_busy(self) -> bool:
        """Whether something in hand can be settled, so that it is not idle even if nothing was just now."""
        return len(self._hand) > len(self._hand.held(self._circuits.blocks))

    @property
    def is_stopped(self) -> bool:
        """Whether so many messages have failed that the group takes none until somebody resumes it."""
        return self._guard.is_stopped

    @property
    def grace(self) -> float:
        """How many seconds it may take to finish what is in hand when it is told to stop."""
        return conf.DLQ_CONSUMER_GRACE.total_seconds()

    def run_once(self, timeout: float = 1.0) -> int:
        """Settle some messages and commit their offsets; wait up to `timeout` seconds for the first.

        Returns how many were settled: handled, skipped, or stored as letters. If the database or the broker fails in
        between, that error is raised, and the next call goes on with what was in hand.
        """
        if self._member is None:
            self._member = self._join()
        self._guard.look()
        if self._guard.is_stopped and not self._crew.is_busy:
            self._revoke(self._member.revoked())
            self._guard.wait(timeout)
            return 0
        patience = min(timeout, self.grace / 4)  # in which no SIGTERM is heard
        settled = self._take(self._member, 0 if self._hand else patience) if self._lacks_work() else 0
        try:
            settled += self._work(self._member)
        finally:
            self._commit(self._member)
        self._suspicion.forget()
        self._guard.look()
        return settled

    def close(self) -> None:
        """Finish what handlers are doing, and leave the group, so that other members take over at once."""
        self.end(self.grace)

    def end(self, seconds: float) -> None:
        """Do so within so many seconds. What takes longer is left behind, and is delivered again elsewhere."""
        if self._member is None:
            return
        for returned in self._crew.close(seconds - min(TO_LEAVE, seconds / 4)):
            self._put_back(returned)
        self.has_left_some_behind = self._crew.is_busy
        with suppress(BrokerUnavailable):  # then it is delivered again, and skipped
            self._commit(self._member)
        self._suspicion.close(self._hand.running)
        self._member.close()
        if self._watch is not None:
            self._watch.close()
        self._member, self._crew, self._watch = None, Alone(self._settle), None
        self._hand.clear()

    def abandon(self) -> None:
        """Commit what may pass and leave the group, while somebody else has the hand, since the process ends now."""
        if self._member is not None:
            self._member.abandon(self._hand.passed)  # what was revoked meanwhile it passes over

    def _join(self) -> Membership:
        if self.threads > 1:
            self._crew = Threads(self._settle, self.threads)
        if not self._inline and any(handler.timeout for handler in self._handlers):
            self._watch = Watch(self._hanging.report, grace=self.grace)
        return Membership(brokers[self.broker].subscribe(self.topics, self.group))

    def _take(self, member: Membership, timeout: float) -> int:
        """Take some messages from the broker; return how many of them are for no handler here."""
        skipped = 0
        records, revoked = member.poll(self._room(), timeout)
        self._revoke(revoked)
        for record in records:
            delivery = delivery_of(record, self.group)
            self._hand.take(delivery)
            if delivery.outcome is not None:
                skipped += _tell(delivery)
            else:
                self._suspicion.took(delivery)
        return skipped

    def _lacks_work(self) -> bool:
        return not self._hand or (self._space.is_all_held and self._room() > 0)

    def _room(self) -> int:
        return 0 if self._guard.is_stopped else self._space.left(is_careful=self._suspicion.is_careful)

    def _work(self, member: Membership) -> int:
        started, settled = time.monotonic(), 0
        while (left := started + SECONDS_BETWEEN_COMMITS - time.monotonic()) > 0:
            self._revoke(member.revoked())
            self._suspicion.look()
            self._circuits.look()
            self._start_what_may()
            self._space.hold(member, self._pace, is_full=lambda: not self._room())
            self._hanging.look()
            if self._crew.is_busy:
                patience = min(left, SECONDS_BETWEEN_POLLS) if self._crew.has_room else left
                settled += self._take_back(patience)
            elif self._hand and not self._guard.is_stopped and (not self._inline or self.is_busy):
                settled += self._rest(member, min(left, self._pace.wait()))
            else:
                break
            if self._crew.is_busy and self._room():
                settled += self._take(member, 0)
        return settled

    def _start_what_may(self) -> None:
        while self._crew.has_room and not self._guard.is_stopped and (work := self._hand.next(self._pace.allowance)):
            self._pace.started(work)
            self._crew.give(work)

    def _rest(self, member: Membership, seconds: float) -> int:
        """Wait until a rate limit or a circuit may let somebody go on, or something for another handler comes."""
        if self._room():
            return self._take(member, seconds)
        time.sleep(seconds)
        return 0

    def _take_back(self, patience: float) -> int:
        """Take back what is settled; return how much that is, or raise what kept some from being settled."""
        returned = self._crew.take_back(patience)
        settled = sum(map(self._put_back, returned))
        for _, error in returned:
            if error is not None:
                raise error
        return settled

    def _put_back(self, returned: Returned) -> int:
        self._pace.ended(returned.work)
        self._hand.returned(returned.work)
        self._suspicion.returned(returned.work)
        return sum(map(_tell, returned.work))

    def _commit(self, member: Membership) -> None:
        self._revoke(member.revoked())
        if passed := self._hand.passed():
            member.commit(passed)
            self._hand.committed()

    def _revoke(self, places: Collection[Place]) -> None:
        if places:
            self._hand.revoke(places)
            self._suspicion.revoke(places, self._hand.running)

    def _abandon_and_end(self) -> None:
        self.abandon()
        end_process()


def settle(group: str, record: Record) -> None:
    """Handle a record, skip it, or store a letter. Raises only if the database cannot be reached."""
    delivery = delivery_of(record, group)
    if delivery.outcome is None:
        settle_work([delivery])
    _tell(delivery)


def _tell(delivery: Delivery) -> bool:
    """Send the signal for what became of a delivery; return whether anything did."""
    if delivery.outcome == "handled":
        signals.tell(signals.message_handled, Consumer, message=delivery.message, handler=delivery.handler)
    elif delivery.outcome not in (None, "failed", "parked"):  # what was done about that has told of itself
        signals.tell(signals.message_skipped, Consumer, message=delivery.message, why=delivery.outcome)
    return delivery.outcome is not None
