"""A broker inside the process, for tests: real topics, partitions and groups, and faults to order."""

import os
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from django.core.checks import CheckMessage, Error
from django.core.signals import setting_changed
from django.dispatch import receiver

from django_dlq.brokers.base import Broker, Receipt, Subscription, one_by_one
from django_dlq.exceptions import BrokerUnavailable, MessageRefused
from django_dlq.message import Place, Record

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class MemoryBroker(Broker):
    """A broker inside this process, for tests.

    OPTIONS: `partitions` of each topic (4), and `name` (the alias): brokers of one name share their records, whatever
    thread they are in. Topics appear when they are used. `override_settings(DLQ_BROKERS=...)` begins with empty ones.
    Not promised: that anything outlives the process.
    """

    keeps_key_order = True
    has_tombstones = True
    has_exact_headers = True

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        super().__init__(alias, options)
        name, partitions = str(self.options.get("name", alias)), int(self.options.get("partitions", 4))
        self._store = _stores.setdefault(name, _Store(partitions))

    def send(self, records: Sequence[Record], timeout: float) -> list[Receipt]:
        """Store records at once; see Broker.send."""
        store = self._store
        with store.changed:
            if store.is_down:
                return [Receipt(error=BrokerUnavailable("the broker in memory is down"))] * len(records)
            receipts = one_by_one(records, store.append)
            store.changed.notify_all()
        return receipts

    def subscribe(self, topics: Sequence[str], group: str) -> Subscription:
        """Join a consumer group; see Broker.subscribe."""
        return _Member(self._store, topics, group)

    def down(self) -> None:
        """Be unreachable until `up`."""
        self._store.switch(is_down=True)

    def up(self) -> None:
        """Be reachable again."""
        self._store.switch(is_down=False)

    def refuse(self, predicate: Callable[[Record], bool]) -> None:
        """Refuse the records for which this is true, instead of those of an earlier predicate."""
        self._store.refuses = predicate

    def records(self, topic: str) -> list[Record]:
        """Return what has been stored in a topic, in the order of arrival."""
        with self._store.changed:
            return list(self._store.arrivals.get(topic, ()))

    def reset(self) -> None:
        """Forget all records, commits and faults; who is subscribed stays so."""
        self._store.forget()

    @classmethod
    def check(cls, alias: str, options: Mapping[str, Any]) -> list[CheckMessage]:
        """Return what is wrong with these OPTIONS."""
        where, partitions = f"DLQ_BROKERS[{alias!r}]['OPTIONS']", options.get("partitions", 4)
        found: list[CheckMessage] = [
            Error(f"{where} has {name!r}, which MemoryBroker does not know.", id="django_dlq.E111")
            for name in sorted(set(options) - {"name", "partitions"})
        ]
        if not isinstance(partitions, int) or partitions < 1:
            found.append(
                Error(f"{where}['partitions'] is a number from 1 on, not {partitions!r}.", id="django_dlq.E112")
            )
        return found


class _Store:
    """What brokers of one name share; `changed` guards all of it."""

    def __init__(self, partitions: int) -> None:
        self.changed = threading.Condition()
        self.partitions = partitions
        self.logs: dict[Place, list[Record]] = {}
        self.arrivals: dict[str, list[Record]] = {}
        self.committed: dict[tuple[str, Place], int] = {}
        self.members: list[_Member] = []
        self.is_down = False
        self.refuses: Callable[[Record], bool] = _nothing

    def append(self, record: Record) -> Receipt:
        if not _TOPIC.fullmatch(record.topic):
            return Receipt(error=MessageRefused(f"{record.topic!r} cannot be the name of a topic"))
        if self.refuses(record):
            return Receipt(error=MessageRefused("the broker in memory was told to refuse it"))
        arrivals = self.arrivals.setdefault(record.topic, [])
        # Without a key, the partitions take turns.
        number = len(arrivals) if record.key is None else crc32(record.key)
        log = self.logs.setdefault((record.topic, number % self.partitions), [])
        stored = record._replace(partition=number % self.partitions, offset=len(log), timestamp=datetime.now(UTC))
        log.append(stored)
        arrivals.append(stored)
        return Receipt(partition=stored.partition, offset=stored.offset)

    def switch(self, *, is_down: bool) -> None:
        with self.changed:
            self.is_down = is_down
            self.changed.notify_all()

    def forget(self) -> None:
        with self.changed:
            self.logs.clear()
            self.arrivals.clear()
            self.committed.clear()
            self.is_down, self.refuses = False, _nothing
            for member in self.members:
                member.restart()

    def rebalance(self, group: str) -> None:
        """Share the partitions of each topic among the members of the group that want it."""
        members = [member for member in self.members if member.group == group]
        for member in members:
            owned: set[Place] = set()
            for topic in member.topics:
                sharing = [other for other in members if topic in other.topics]
                owned.update((topic, number) for number in range(sharing.index(member), self.partitions, len(sharing)))
            member.own(owned)
        self.changed.notify_all()


class _Member(Subscription):
    """One member of a group."""

    def __init__(self, store: _Store, topics: Iterable[str], group: str) -> None:
        self.group = group
        self.topics = frozenset(topics)
        self._store = store
        # By partition that this member has: where it began when it was given to it, and where it goes on.
        self._since: dict[Place, int] = {}
        self._next: dict[Place, int] = {}
        self._revoked: set[Place] = set()
        self._held: frozenset[Place] = frozenset()
        self._join()

    def poll(self, limit: int, timeout: float) -> list[Record]:
        """Return some records; see Subscription.poll. After `close`, join again."""
        with self._store.changed:
            self._join()
            self._store.changed.wait_for(lambda: self._store.is_down or self._has_more(), timeout)
            self._raise_if_down()
            return self._take(limit)

    def commit(self, records: Iterable[Record]) -> None:
        """Say that these records are done; see Subscription.commit."""
        with self._store.changed:
            self._raise_if_down()
            for record in records:
                place, offset = (record.topic, record.partition or 0), record.offset or 0
                if place in self._since and offset >= self._since[place]:
                    last = self._store.committed.get((self.group, place), 0)
                    self._store.committed[self.group, place] = max(last, offset + 1)

    def hold(self, places: Collection[Place]) -> bool:
        """Deliver nothing from these partitions; see Subscription.hold."""
        with self._store.changed:
            self._held = frozenset(places)
        return True

    def revoked(self) -> Collection[Place]:
        """Return the partitions that went to other members; see Subscription.revoked."""
        with self._store.changed:
            revoked, self._revoked = self._revoked, set()
        return revoked

    def close(self) -> None:
        """Leave the group at once; see Subscription.close."""
        with self._store.changed:
            if self in self._store.members:
                self._store.members.remove(self)
                self.own(set())
                self._store.rebalance(self.group)

    def own(self, places: set[Place]) -> None:
        """Have these partitions: go on in those that it had, begin at the committed offset in the others."""
        self._revoked.update(self._since.keys() - places)
        self._held &= places
        begin = {place: self._store.committed.get((self.group, place), 0) for place in sorted(places)}
        self._since = {place: self._since.get(place, begin[place]) for place in begin}
        self._next = {place: self._next.get(place, begin[place]) for place in begin}

    def restart(self) -> None:
        """Begin all its partitions anew."""
        self._since = dict.fromkeys(self._since, 0)
        self._next = dict.fromkeys(self._next, 0)

    def _join(self) -> None:
        with self._store.changed:
            if self not in self._store.members:
                self._store.members.append(self)
                self._store.rebalance(self.group)

    def _has_more(self) -> bool:
        logs = self._store.logs
        return any(
            position < len(logs.get(place, ())) for place, position in self._next.items() if place not in self._held
        )

    def _take(self, limit: int) -> list[Record]:
        taken: list[Record] = []
        for place in [place for place in self._next if place not in self._held]:
            position = self._next[place]
            some = self._store.logs.get(place, [])[position : position + limit - len(taken)]
            if some:
                # To the end of the row, so that no partition starves.
                del self._next[place]
                self._next[place] = position + len(some)
                taken += some
        return taken

    def _raise_if_down(self) -> None:
        if self._store.is_down:
            raise BrokerUnavailable("the broker in memory is down")


_stores: dict[str, _Store] = {}


def _nothing(_: Record) -> bool:
    return False


@receiver(setting_changed)
def _forget_stores(*, setting: str, **_: object) -> None:
    if setting == "DLQ_BROKERS":
        _stores.clear()


def _unlock() -> None:
    # In the child of a fork there is nobody left to release what another thread held.
    for store in _stores.values():
        store.changed = threading.Condition()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)
