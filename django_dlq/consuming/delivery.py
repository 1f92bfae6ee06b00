"""One message as it was delivered, and what became of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from django_dlq.message import Place, ReceivedMessage, Record
from django_dlq.registry import Handler

Outcome = Literal["handled", "duplicate", "failed", "parked", "tag", "group"]
"""What became of a message: for one that failed, what its handler wants; the last two are for no handler here."""

Key = tuple[str, bytes]
"""A topic and a record key: its messages are handled one after the other."""


@dataclass(slots=True, eq=False)
class Delivery:
    """One message as it was delivered, the handler that takes it, and what became of it; None while it is to be done.

    Deliveries are told apart by themselves and not by their content: the same message may be in hand twice. `deaths`:
    how many processes have died with it in hand; if any, nothing else is started beside it. `is_plain`: whether it is
    known that no header asks for more than that it be handled.
    """

    record: Record
    message: ReceivedMessage
    handler: Handler | None
    outcome: Outcome | None = None
    number: int = 0
    is_revoked: bool = False
    deaths: int = 0
    is_plain: bool = False
    key: Key | None = field(init=False)
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        # Once, since each is asked for several times: what must not be handled beside it, and where it came from.
        record = self.record
        self.key = None if record.key is None else (record.topic, record.key)
        self.place = record.place

    @property
    def size(self) -> int:
        """How many bytes its body has."""
        return len(self.record.body or b"")

    def __lt__(self, other: "Delivery") -> bool:
        return self.number < other.number


def handler_of(delivery: Delivery) -> Handler:
    """Return the handler of a delivery that is to be handled."""
    assert delivery.handler is not None, "what no handler takes has its outcome when it is taken"
    return delivery.handler


def size(deliveries: Iterable[Delivery]) -> int:
    """Return how many bytes the bodies of these have."""
    return sum(delivery.size for delivery in deliveries)
