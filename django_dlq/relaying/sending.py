"""Give messages to their brokers, and deal with what becomes of each."""

import time
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from dataclasses import dataclass, replace

from django_dlq.brokers.base import Receipt, error_of, offset_of, partition_of
from django_dlq.conf import conf
from django_dlq.models.outbox_reading import Scope, read_again
from django_dlq.models.outgoing import Outgoing, broker_of, expiry_of, id_of, records
from django_dlq.relaying.batch_sizes import SLOW, BatchSizes
from django_dlq.relaying.circuits import Circuits
from django_dlq.relaying.completions import Completions
from django_dlq.relaying.outcome import Outcome
from django_dlq.relaying.refusing import AT_ONCE, bury, expired
from django_dlq.relaying.rests import Rests
from django_dlq.relaying.share import Share
from django_dlq.relaying.trials import Trial, Trials, Trying, receipts_of

SHORT = 2.0
"""Seconds for what may well fail again, where others have to wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """What the sending side asks of the reading side.

    keep: not to hand out rows that were sent. take_back: to read rows again, and before what was read after them.
    settle: to take note of what is completed. look_around: to see anew what may be sent.
    """

    keep: Callable[[Iterable[int]], None]
    take_back: Callable[[Collection[Outgoing]], None]
    settle: Callable[[], None]
    look_around: Callable[[], None]


class Sending:
    """The sending side of one relay.

    beside: whether what is only tried is sent by threads of its own. sender: of the signals.
    What a broker does not take stays in the outbox. If the broker is not there at all, its circuit opens; otherwise
    what it has not taken rests. Both are tried with a few messages from time to time, and everything else goes on.
    """

    def __init__(self, share: Share, completions: Completions, outbox: Outbox, *, beside: bool, sender: type) -> None:
        self._sender = sender
        self.trials = Trials(beside=beside)
        self._sizes = BatchSizes()
        self._circuits = Circuits(share.owner)
        self._rests = Rests(share.owner)
        self._share = share
        self._completions = completions
        self._outbox = outbox
        # Brokers that are well and have just not taken something: perhaps there is more of it.
        self._doubted: set[str] = set()

    @property
    def page_size(self) -> int:
        """How many messages to read at once."""
        return self._sizes.page(self._circuits.open())

    def unavailable(self) -> dict[str, str]:
        """Return the brokers that could not be reached, and the topics that rest in part, each with the reason."""
        return self._circuits.open() | self._rests.told()

    def narrow(self, scope: Scope) -> Scope:
        """Return what to read now, of what may be sent."""
        return replace(scope, closed=self._circuits.closed(), resting=self._rests.now())

    def send(self, rows: Sequence[Outgoing]) -> int:
        """Send these rows; return how many left the outbox, or are leaving it."""
        live, done = rows, 0
        if any(map(expiry_of, rows)):
            live = [row for row in rows if not row.is_expired]
        aliases = dict.fromkeys(map(broker_of, live))
        for alias in sorted(aliases, key=self._doubted.__contains__):
            of_it = live if len(aliases) == 1 else [row for row in live if row.broker == alias]
            if alias in self._circuits.open():
                self._circuits.remember(alias, of_it)
                self._outbox.take_back(of_it)
            elif len(aliases) == 1:
                done += self._send(alias, of_it)[0]
            else:
                done += self._send_in_parts(alias, of_it)
        # Last, since nobody waits for what comes too late.
        return done + self._bury_expired(rows)

    def try_again(self, scope: Scope) -> int:
        """Try what rests and the brokers that are out of reach, if it is time; return how much left the outbox."""
        aliases = self._circuits.open().keys() | self._rests.aliases()
        done = sum(self._begin_trial(alias, scope) for alias in aliases if alias not in self.trials)
        return done + self.hear()

    def hear(self) -> int:
        """Take note of what has become of what was tried; return how many messages left the outbox."""
        return sum(map(self._end_trial, self.trials.ended()))

    def _send_in_parts(self, alias: str, rows: Sequence[Outgoing]) -> int:
        """Send in batches of the broker's own size, and leave the rest for later once it takes long."""
        done, size, began = 0, self._sizes.of(alias), time.monotonic()
        for start in range(0, len(rows), size):
            sent, is_clean = self._send(alias, rows[start : start + size])
            done += sent
            if not is_clean or time.monotonic() - began > SLOW:
                # Nothing may overtake what failed, and others shall not wait for one broker.
                self._outbox.take_back(rows[start + size :])
                break
        return done

    def _send(self, alias: str, rows: Sequence[Outgoing]) -> tuple[int, bool]:
        """Send a batch; return how much of it left the outbox, and whether all of it was confirmed."""
        began = time.monotonic()
        receipts = receipts_of(alias, records(rows), self._seconds(short=alias in self._doubted))
        if not any(map(error_of, receipts)):
            self._complete(rows, receipts)
            self._doubted.discard(alias)
            self._sizes.adapt(alias, len(rows), time.monotonic() - began)
            return len(rows), True
        outcome = Outcome.of(rows, receipts)
        done = self._settle_what_can_be(outcome)
        self._leave_alone(alias, outcome)
        if outcome.is_unclear:
            self._sizes.shrink(alias)
        if outcome.left:
            self._outbox.take_back(outcome.left)
        return done, False

    def _leave_alone(self, alias: str, outcome: Outcome) -> None:
        if outcome.reason is None:
            return
        if outcome.is_there:
            self._rests.rest(alias, outcome.unavailable, outcome.reason)
            self._doubted.add(alias)
        else:
            self._circuits.failed(alias, outcome.reason)
            self._circuits.remember(alias, outcome.unavailable)

    def _begin_trial(self, alias: str, scope: Scope) -> int:
        """Try a few messages of this broker, if it is time; return how many were found to be expired."""
        seconds = self._seconds(short=not self.trials.beside)
        is_away = alias in self._circuits.open()
        ids = (self._circuits if is_away else self._rests).choose(alias)
        if not ids:
            return 0
        try:
            rows = read_again(scope, ids)
            buried = self._bury_expired(rows)
            if live := [row for row in rows if not row.is_expired]:
                self.trials.begin(Trying(alias, ids, is_away=is_away), live, seconds=seconds)
        except BaseException:
            self._forgo(alias)
            raise
        if not live and is_away:
            self._circuits.forget(alias, ids)
        elif not live:
            self._rests.tried(alias, ids)
        return buried

    def _end_trial(self, trial: Trial) -> int:
        alias, ids = trial.of.alias, trial.of.ids
        try:
            receipts = trial.future.result()
        except BaseException:
            self._forgo(alias)
            raise
        outcome = Outcome.of(trial.rows, receipts)
        if not trial.of.is_away:
            self._rests.tried(alias, ids, failed=set(map(id_of, outcome.left)), error=outcome.reason)
        elif outcome.reason is not None and not outcome.is_there:
            self._circuits.failed(alias, outcome.reason)
        else:
            self._circuits.succeeded(alias)
            self._rests.hurry(alias)
            self._leave_alone(alias, outcome)
        # What has passed to another relay meanwhile is the other's.
        mine = Outcome.of(*_of_lanes(self._share.held, trial.rows, receipts))
        self._outbox.keep(map(id_of, mine.confirmed[0]))
        return self._settle_what_can_be(mine)

    def _forgo(self, alias: str) -> None:
        self._circuits.forgo(alias)
        self._rests.forgo(alias)

    def _seconds(self, *, short: bool) -> float:
        """Return the seconds that a send may take: it ends before anybody else can take over."""
        if self._share.lasts < timeout():  # what came before may have used up much of it
            self._share.insist(self._sender)
        return min(timeout(), self._share.lasts, SHORT if short else timeout())

    def _settle_what_can_be(self, outcome: Outcome) -> int:
        """Complete what is confirmed, and bury what is refused; return how much that is."""
        rows, receipts = outcome.confirmed
        if rows:
            self._complete(rows, receipts)
        return len(rows) + self._bury(outcome.refused)

    def _complete(self, rows: Sequence[Outgoing], receipts: Sequence[Receipt]) -> None:
        places = zip(map(id_of, rows), map(partition_of, receipts), map(offset_of, receipts), strict=True)
        self._completions.begin(rows, list(places))
        self._outbox.settle()

    def _bury_expired(self, rows: Sequence[Outgoing]) -> int:
        return self._bury([(row, expired(row)) for row in rows if row.is_expired])

    def _bury(self, rows: Sequence[tuple[Outgoing, Exception]]) -> int:
        """Make dead letters of these rows; return how many there were to bury."""
        buried = 0
        for start in range(0, len(rows), AT_ONCE):
            self._seconds(short=False)  # which keeps the lanes, or says that they are lost
            part = rows[start : start + AT_ONCE]
            letters = bury(part, self._share.fence(sorted({row.lane for row, _ in part})))
            buried += len(letters)
            self._completions.left.extend(row.id for row, _ in part)
            if any(letter.holds_key for letter in letters):
                self._outbox.take_back([])
                self._outbox.look_around()
        return buried


def timeout() -> float:
    """Return the seconds that a broker has to confirm what it is given."""
    return conf.DLQ_PUBLISH_TIMEOUT.total_seconds()


def _of_lanes(
    lanes: Container[int], rows: Sequence[Outgoing], receipts: Sequence[Receipt]
) -> tuple[list[Outgoing], list[Receipt]]:
    both = [(row, receipt) for row, receipt in zip(rows, receipts, strict=True) if row.lane in lanes]
    return [row for row, _ in both], [receipt for _, receipt in both]
