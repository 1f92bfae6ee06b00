"""What a broker must be able to do.

To write one: subclass `Broker`, implement `send` and `subscribe`, and run `django_dlq.testing.conformance` against it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, ClassVar, NamedTuple

from django.core.checks import CheckMessage

from django_dlq.exceptions import BrokerError, HeldBack, MessageRefused
from django_dlq.message import Place, Record


class Receipt(NamedTuple):
    """What became of one record: confirmed, with its place in the topic, or not, with the error that says why."""

    error: BrokerError | None = None
    partition: int | None = None
    offset: int | None = None


# Columns of many receipts, as those of rows in models/outgoing.py.
error_of, partition_of, offset_of = map(itemgetter, range(3))

HELD_BACK = Receipt(error=HeldBack("it was not sent, since an earlier message of its key was refused"))


class Subscription(ABC):
    """One member of a consumer group, used by one thread at a time.

    Only `revoked` may be called while another thread uses it.
    """

    # Seconds without a poll after which `keep_alive` is to be called; by default the broker misses nobody.
    longest_silence: float = math.inf

    @abstractmethod
    def poll(self, limit: int, timeout: float) -> list[Record]:
        """Return up to `limit` records, waiting at most `timeout` seconds for the first; an empty list if none came.

        Raises BrokerUnavailable. Records of one partition come in order. Not promised: that a record is delivered once.
        """

    @abstractmethod
    def commit(self, records: Iterable[Record]) -> None:
        """Say that these records, and all before them in their partitions, are done; durable when this returns.

        Raises BrokerUnavailable. Records of partitions that were meanwhile given to another member are ignored: they
        will be delivered again there.
        """

    def keep_alive(self) -> None:  # noqa: B027  # not every broker misses its members
        """Stay a member, and deliver nothing: whoever polls is busy with what came before, for an unknown time.

        What arrives meanwhile waits in the broker, and comes with the next poll. May raise BrokerUnavailable.
        """

    def hold(self, places: Collection[Place]) -> bool:
        """Deliver nothing from these partitions, and again from those held before; return whether that can be done.

        The member keeps them, and nothing of them is lost: it is delivered once they are not named any more. A
        partition that is taken away is not held any more. Whoever cannot do this holds up all partitions with one.
        """
        return not places

    def revoked(self) -> Collection[Place]:
        """Return the partitions that were taken from this member since the last call.

        Also those that it has been given again since: what it was given before does not count any more, and what of it
        is not committed is delivered again, here or elsewhere.
        """
        return ()

    @abstractmethod
    def close(self) -> None:
        """Leave the group at once, so that others take over the partitions. Commits nothing."""


class Broker(ABC):
    """A message broker, made once per process and alias from DLQ_BROKERS.

    Creating one must not connect: clients that own threads or sockets are made on first use, and made anew after fork.
    """

    # Does the broker keep the order of records that share a key?
    keeps_key_order: ClassVar[bool] = False
    # Can a body be absent (None), as distinct from empty?
    has_tombstones: ClassVar[bool] = False
    # Do header names repeat and header values carry any bytes?
    has_exact_headers: ClassVar[bool] = False
    # Do sent records survive the end of the process that sent them?
    is_durable: ClassVar[bool] = False

    def __init__(self, alias: str, options: Mapping[str, Any]) -> None:
        self.alias = alias
        self.options = dict(options)

    @abstractmethod
    def send(self, records: Sequence[Record], timeout: float) -> list[Receipt]:
        """Send records and return one receipt for each, in their order, within `timeout` seconds.

        A receipt without an error means that the broker has confirmed the record as durably stored. Its error is
        BrokerUnavailable if the record may be sent again later, MessageRefused if that is useless, and HeldBack if it
        was not sent because an earlier record of its topic and key was refused in this call: then the caller decides
        whether it goes without that one. After this returns, nothing is left queued in the client: what is unconfirmed
        will not be sent behind the caller's back.
        Records of one topic and key are stored in the order given, and none is stored after one of them was refused or
        unavailable. Records without a key wait for nobody.
        Not promised: that an unavailable record was not stored.
        """

    @abstractmethod
    def subscribe(self, topics: Sequence[str], group: str) -> Subscription:
        """Join a consumer group; where the group has no position yet, it starts at the oldest record."""

    def close(self) -> None:  # noqa: B027  # not every broker holds something
        """Free what the broker holds in this process. It may be used again afterwards."""

    @classmethod
    def check(cls, alias: str, options: Mapping[str, Any]) -> list[CheckMessage]:
        """Return what is wrong with these OPTIONS, without connecting to anything."""
        return []


def one_by_one(records: Iterable[Record], store: Callable[[Record], Receipt]) -> list[Receipt]:
    """Call `store` for each record, except those behind one of their topic and key that was not stored.

    For brokers that can send one record after the other without waiting.
    """
    receipts: list[Receipt] = []
    later: dict[tuple[str, bytes], Receipt] = {}
    for record in records:
        place = None if record.key is None else (record.topic, record.key)
        receipt = (place and later.get(place)) or store(record)
        if place and receipt.error is not None:
            later[place] = HELD_BACK if isinstance(receipt.error, MessageRefused) else receipt
        receipts.append(receipt)
    return receipts
