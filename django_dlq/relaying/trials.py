"""Try a few messages that their brokers did not take, beside everything else, so that nobody waits for the answers."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

from django_dlq.brokers import UnknownBroker, brokers
from django_dlq.brokers.base import Receipt
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.message import Record
from django_dlq.models.outgoing import Outgoing, records
from django_dlq.relaying.stages import Beside, Inline, Stage


@dataclass(frozen=True, slots=True)
class Trying:
    """What is to be found out. ids: of the messages that are tried. is_away: whether the whole broker is."""

    alias: str
    ids: Collection[int]
    is_away: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """Some messages that are on their way to see whether they are taken."""

    of: Trying
    rows: Sequence[Outgoing]
    future: "Future[list[Receipt]]"


class Trials:
    """The trials that are under way, one for each broker.

    beside: whether each broker has a thread for them; there it has a client of its own, since brokers are made for each
    thread. Otherwise they are done at once.
    """

    def __init__(self, *, beside: bool) -> None:
        self.beside = beside
        self._stages: dict[str, Stage] = {}
        self._under_way: dict[str, Trial] = {}

    def __contains__(self, alias: str) -> bool:
        """Tell whether something is under way to this broker."""
        return alias in self._under_way

    @property
    def lanes(self) -> set[int]:
        """The lanes of what is under way."""
        return {row.lane for trial in self._under_way.values() for row in trial.rows}

    def begin(self, of: Trying, rows: Sequence[Outgoing], *, seconds: float) -> None:
        """Send these rows; `ended` will have what became of them."""
        stage = self._stages.get(of.alias) or self._stages.setdefault(of.alias, self._stage(of.alias))
        future = stage.submit(receipts_of, of.alias, records(rows), seconds)
        self._under_way[of.alias] = Trial(of, rows, future)

    def ended(self) -> Iterator[Trial]:
        """Return each trial that has come to its end, once."""
        for alias, trial in list(self._under_way.items()):
            if trial.future.done():
                del self._under_way[alias]
                yield trial

    def wait(self) -> None:
        """Wait until all have come to their ends."""
        wait([trial.future for trial in self._under_way.values()])

    def close(self) -> None:
        """End the threads."""
        for stage in self._stages.values():
            stage.close()
        self._stages.clear()

    def _stage(self, alias: str) -> Stage:
        return Beside(f"dlq-try-{alias}") if self.beside else Inline()


def receipts_of(alias: str, records: Sequence[Record], seconds: float) -> list[Receipt]:
    """Send records; a broker that cannot be used at all is one that took none of them."""
    try:
        receipts: list[Receipt] = brokers[alias].send(records, seconds)
    except (BrokerUnavailable, UnknownBroker) as error:
        away = error if isinstance(error, BrokerUnavailable) else BrokerUnavailable(str(error))
        return [Receipt(error=away)] * len(records)
    return receipts
