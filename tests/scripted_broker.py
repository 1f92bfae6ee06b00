"""A broker that does what a test tells it to, and remembers what it was asked."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django_dlq.brokers.base import Broker, Receipt, Subscription, one_by_one
from django_dlq.exceptions import BrokerError
from django_dlq.message import Place, Record

PATH = "tests.scripted_broker.ScriptedBroker"


class ScriptedSubscription(Subscription):
    """Give what the test put into `broker.incoming`, once."""

    def __init__(self, broker: "ScriptedBroker", topics: Sequence[str], group: str) -> None:
        self.broker = broker
        self.topics = topics
        self.group = group
        self.committed: list[Record] = []
        self.is_closed = False
        self.lost: set[Place] = set()

    def poll(self, limit: int, timeout: float) -> list[Record]:
        self.broker.polls.append((limit, timeout))
        taken, self.broker.incoming = self.broker.incoming[:limit], self.broker.incoming[limit:]
        return taken

    def commit(self, records: Iterable[Record]) -> None:
        records = list(records)
        self.broker.before_commit(records)
        self.committed += records

    def revoked(self) -> set[Place]:
        lost, self.lost = self.lost, set()
        return lost

    def close(self) -> None:
        self.is_closed = True


class ScriptedBroker(Broker):
    """Confirm everything, unless `answers` (by topic) or `outage` says otherwise."""

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        super().__init__(alias, options)
        self.sent: list[Record] = []
        self.calls: list[int] = []
        self.answers: dict[str, BrokerError] = {}
        self.outage: BrokerError | None = None
        self.during_send: Callable[[], object] = lambda: None
        self.before_commit: Callable[[list[Record]], object] = lambda records: None
        self.incoming: list[Record] = []
        self.polls: list[tuple[int, float]] = []
        self.subscriptions: list[ScriptedSubscription] = []

    def send(self, records: Sequence[Record], timeout: float) -> list[Receipt]:
        self.calls.append(len(records))
        self.during_send()
        if self.outage is not None:
            raise self.outage
        return one_by_one(records, self._receipt)

    def subscribe(self, topics: Sequence[str], group: str) -> ScriptedSubscription:
        self.subscriptions.append(ScriptedSubscription(self, topics, group))
        return self.subscriptions[-1]

    def _receipt(self, record: Record) -> Receipt:
        if record.topic in self.answers:
            return Receipt(error=self.answers[record.topic])
        self.sent.append(record)
        return Receipt(partition=0, offset=len(self.sent) - 1)
