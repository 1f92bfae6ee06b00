"""Send the outbox: read what is due, give it to the broker, move what the broker has confirmed to the history.

Relays share 64 lanes, leased on the database's clock; every completion is fenced with the epochs of its lanes. Reading
the next page, sending, and completing what is confirmed overlap. No transaction is open while the broker is spoken to.
A crash at any point leaves unconfirmed rows in the outbox, and the next relay sends them again with the same ids.
"""

import os
import socket
import uuid
from collections.abc import Collection
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

from django.db import DatabaseError, InterfaceError, connections

from django_dlq import signals
from django_dlq.conf import conf
from django_dlq.exceptions import LeaseLost
from django_dlq.message import LANES
from django_dlq.models import OutboxMessage, Pause
from django_dlq.models.holds import current_holds
from django_dlq.models.outbox_reading import Scope
from django_dlq.relaying.completions import Completions
from django_dlq.relaying.listener import Listener
from django_dlq.relaying.reader import Reader
from django_dlq.relaying.sending import Outbox, Sending, timeout
from django_dlq.relaying.share import Share
from django_dlq.relaying.stages import Beside, Inline, Stage

if TYPE_CHECKING:
    from django_dlq.models.outgoing import Outgoing

PENDING = 2
"""How many batches may wait for their completion while the next one is sent."""


class Relay:
    """One relay, with the lanes that it has.

    pipelined: whether to read and complete in threads of their own; not on SQLite, where writers wait for each other,
    nor inside a transaction, as in tests, of which other connections see nothing.
    """

    def __init__(self, *, pipelined: bool = False) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        connection = connections[OutboxMessage.objects.db]
        threads = pipelined and connection.vendor != "sqlite" and not connection.in_atomic_block
        self._reading: Stage = Beside("dlq-read") if threads else Inline()
        self._reads_ahead = threads
        self._share = Share(self.owner)
        self._completions = Completions(self._share, Beside("dlq-complete") if threads else Inline(), type(self))
        self._reader = Reader(keep_plans=threads)  # whose connection nobody else has
        outbox = Outbox(
            keep=self._reader.keep, take_back=self._take_back, settle=self._settle, look_around=self._look_around
        )
        self._sending = Sending(self._share, self._completions, outbox, beside=pipelined, sender=type(self))
        self._listener = Listener(connection.alias)
        self._scope = Scope()
        self._ahead: Future[list[Outgoing]] | None = None

    @property
    def grace(self) -> float:
        """How many seconds it may take to end when it is told to: after its lease, all it could do is refused."""
        return conf.DLQ_RELAY_LEASE.total_seconds()

    def run_once(self) -> int:
        """Send one batch; return how many messages left the outbox, 0 as well while other relays have all the lanes.

        Pipelined, the last of them may still be leaving; at the next 0 all have left. What a broker that cannot be
        reached would have taken stays in the outbox, and that broker is left alone for a while, longer each time up to
        five seconds; messages for other brokers go on.
        """
        try:
            return self._step()
        except LeaseLost:
            self._start_over()
            self._share.doubt()
            return 0
        except BaseException:
            self._start_over()
            raise

    def rest(self, seconds: float) -> bool:
        """Wait for up to so many seconds; return whether somebody has published meanwhile, as far as is known.

        Not promised: to hear of it, nor to wait that long.
        """
        return self._listener.wait(seconds)

    def close(self) -> None:
        """Complete what is confirmed, and give the lanes back, so that other relays can go on at once."""
        try:
            self._finish()
            self._share.leave()
        finally:
            self._listener.close()
            self._reading.close()
            self._sending.trials.close()
            self._completions.close()

    def _finish(self) -> None:
        """Complete what is confirmed; where that cannot be, what is still on its way is not waited for in vain."""
        try:
            self._sending.trials.wait()
            self._sending.hear()
            self._settle(0)
        except (LeaseLost, DatabaseError, InterfaceError):
            # The lanes go to others now, who would wait for the lease. Nothing may be on its way to the history then:
            # it would be refused, and sent again.
            self._completions.forget()
            connection = connections[OutboxMessage.objects.db]
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()

    def has_all_lanes(self) -> bool:
        """Join the relays; tell whether there is no other one."""
        self._keep_share()
        return len(self._share.held) == LANES

    def unavailable(self) -> dict[str, str]:
        """Return the brokers that could not be reached, and the topics that rest in part, each with the reason."""
        return self._sending.unavailable()

    def _step(self) -> int:
        if not self._keep_share():
            return 0
        rows = self._next_rows()
        if rows and self._reads_ahead:
            self._read_ahead()
        done = self._sending.send(rows) if rows else 0
        done += self._sending.try_again(self._scope)
        self._settle(PENDING if rows else 0)
        return done

    # The lanes

    def _keep_share(self) -> bool:
        """Do what is due about the lanes; return whether there is any to work in."""
        if not self._share.is_beat_due and self._share.lasts > timeout():
            return bool(self._share.held)
        if lost := self._share.beat():
            self._start_over()
            signals.tell(signals.relay_lost_lanes, type(self), owner=self.owner, lanes=lost)
        if surplus := [lane for lane in self._share.surplus() if lane not in self._sending.trials.lanes]:
            # Nothing of them may be on its way when another relay begins with them.
            self._settle(0)
            self._take_back([])
            self._share.give_back(surplus)
            signals.tell(signals.relay_gave_lanes, type(self), owner=self.owner, lanes=surplus)
        elif taken := self._share.take():
            signals.tell(signals.relay_took_lanes, type(self), owner=self.owner, lanes=taken)
        self._look_around()
        return bool(self._share.held)

    def _look_around(self) -> None:
        """See what may be sent now: lanes, pauses, held keys."""
        self._listener.take_note()
        paused = Pause.objects.active()
        lanes = frozenset(self._share.held)
        self._scope = Scope(
            lanes=None if len(lanes) == LANES else lanes,
            topics=paused.topics,
            keys=paused.keys,
            brokers=paused.brokers,
            holds=current_holds(),
        )

    # Reading

    def _next_rows(self) -> list["Outgoing"]:
        if self._ahead is None:
            self._read_ahead()
        ahead, self._ahead = self._ahead, None
        return [] if ahead is None else ahead.result()

    def _read_ahead(self) -> None:
        # Between two reads: one that is under way could still see rows that have left since.
        self._settle(len(self._completions))
        self._reader.release(self._completions.left)
        self._completions.left.clear()
        scope = self._sending.narrow(self._scope)
        self._ahead = self._reading.submit(self._reader.read, scope, self._sending.page_size)

    def _take_back(self, rows: Collection["Outgoing"]) -> None:
        """Read these rows again, and before what was read after them."""
        ahead, self._ahead = self._ahead, None
        self._reader.take_back([*rows, *(ahead.result() if ahead is not None else ())])

    def _start_over(self) -> None:
        """Forget what was in hand, since nobody knows what became of it: the outbox does."""
        self._completions.forget()
        if self._ahead is not None:
            wait([self._ahead])
        self._ahead = None
        self._reader.start_over()
        self._reading.let_go()

    # Completing

    def _settle(self, most: int = PENDING) -> None:
        """Take note of what is completed, and wait until at most so many batches are not."""
        if self._completions.settle(most) and self._scope.holds:
            self._look_around()  # what waited for a replay follows it at once
