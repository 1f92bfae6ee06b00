"""Give a page of messages to their brokers, and deal with what becomes of each."""

from collections.abc import Callable, Collection, Sequence

from django_dlq.brokers import UnknownBroker, brokers
from django_dlq.brokers.base import Receipt, error_of, offset_of, partition_of
from django_dlq.conf import conf
from django_dlq.exceptions import BrokerError, BrokerUnavailable, Expired, HeldBack, LeaseLost
from django_dlq.models.outgoing import Outgoing, broker_of, expiry_of, id_of
from django_dlq.relaying.circuits import Circuits
from django_dlq.relaying.completions import Completions
from django_dlq.relaying.refusing import bury
from django_dlq.relaying.share import Share


class Sending:
    """The sending side of one relay.

    settle: takes note of what is completed. take_back: has rows read again. look_around: sees anew what may be sent.
    """

    def __init__(
        self,
        share: Share,
        completions: Completions,
        circuits: Circuits,
        *,
        settle: Callable[[], None],
        take_back: Callable[[Collection[Outgoing]], None],
        look_around: Callable[[], None],
    ) -> None:
        self._share = share
        self._completions = completions
        self._circuits = circuits
        self._settle = settle
        self._take_back = take_back
        self._look_around = look_around

    def send(self, rows: Sequence[Outgoing]) -> int:
        """Send these rows; return how many left the outbox, or are leaving it."""
        done = self._bury_expired(rows)
        live = [row for row in rows if not row.is_expired] if any(map(expiry_of, rows)) else rows
        aliases = dict.fromkeys(map(broker_of, live))
        for alias in aliases:
            done += self._send(alias, live if len(aliases) == 1 else [row for row in live if row.broker == alias])
        return done

    def _send(self, alias: str, rows: Sequence[Outgoing]) -> int:
        if self._circuits.is_probe(alias):
            self._take_back(rows[1:])
            rows = rows[:1]
        try:
            receipts = brokers[alias].send([row.record() for row in rows], self._deadline())
        except (BrokerUnavailable, UnknownBroker) as error:
            self._circuits.failed(alias, error)
            self._take_back(rows)
            return 0
        if not any(map(error_of, receipts)):
            self._complete(rows, receipts)
            self._circuits.succeeded(alias)
            return len(rows)
        confirmed = [(row, receipt) for row, receipt in zip(rows, receipts, strict=True) if receipt.error is None]
        if confirmed:
            self._complete(*zip(*confirmed, strict=True))
        failed = [
            (row, receipt.error) for row, receipt in zip(rows, receipts, strict=True) if receipt.error is not None
        ]
        return len(confirmed) + self._fail(alias, failed)

    def _deadline(self) -> float:
        """Return the seconds that a send may take: it ends before anybody else can take over."""
        if self._share.lasts < timeout():  # what came before may have used up much of it
            self._share.doubt()
            if self._share.beat() or self._share.lasts <= 0:
                raise LeaseLost("lanes have passed to another relay")
        return min(timeout(), self._share.lasts)

    def _complete(self, rows: Sequence[Outgoing], receipts: Sequence[Receipt]) -> None:
        places = zip(map(id_of, rows), map(partition_of, receipts), map(offset_of, receipts), strict=True)
        self._completions.begin(rows, list(places))
        self._settle()

    def _fail(self, alias: str, failed: Sequence[tuple[Outgoing, BrokerError]]) -> int:
        """Deal with what was not confirmed; return how much of it left the outbox."""
        buried = 0
        left = [row for row, error in failed if isinstance(error, (BrokerUnavailable, HeldBack))]
        outages = [error for _, error in failed if isinstance(error, BrokerUnavailable)]
        for row, error in failed:
            if not isinstance(error, (BrokerUnavailable, HeldBack)):
                buried += self._bury(row, error)
        if outages:
            self._circuits.failed(alias, outages[0])
        else:
            self._circuits.succeeded(alias)
        if left:
            self._take_back(left)
        return buried

    def _bury_expired(self, rows: Sequence[Outgoing]) -> int:
        buried = 0
        for row in rows:
            if row.is_expired:
                error = f"expired: it was to be sent before {row.expires_at:%Y-%m-%d %H:%M:%S} UTC, and was not"
                buried += self._bury(row, Expired(error))
        return buried

    def _bury(self, outgoing: Outgoing, error: Exception) -> int:
        letter = bury(outgoing, error, self._share.fence([outgoing.lane]))
        if letter is None:  # somebody has deleted it
            return 0
        self._completions.left.append(outgoing.pk)
        if letter.holds_key:
            self._take_back([])
            self._look_around()
        return 1


def timeout() -> float:
    """Return the seconds that a broker has to confirm what it is given."""
    return conf.DLQ_PUBLISH_TIMEOUT.total_seconds()
