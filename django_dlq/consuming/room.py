"""How much more a consumer may take, and from which partitions nothing for the time being."""

from collections.abc import Callable, Collection, Sequence
from typing import Final

from django_dlq.conf import conf
from django_dlq.consuming.delivery import Delivery, size
from django_dlq.consuming.hand import Hand
from django_dlq.consuming.membership import Membership
from django_dlq.consuming.pace import Pace
from django_dlq.registry import Handler

MOST_WITH_CARE: Final = 20
"""In hand where somebody has died, unless more are handled at once."""

MOST_BYTES: Final = 64_000_000
"""Of bodies in hand: with more, nothing is taken until some are done."""


class Room:
    """The room in a consumer's hand. What waits for long, in partitions that bring no more meanwhile, takes none."""

    def __init__(self, hand: Hand, handlers: Collection[Handler], *, threads: int) -> None:
        self._hand, self._handlers, self._threads = hand, handlers, threads
        self._held: Sequence[Delivery] = ()
        self._held_bytes = 0
        self._holds = False

    @property
    def most_in_hand(self) -> int:
        """How many messages there may be in hand, beside those that are held."""
        return self._at_once * self._threads

    @property
    def is_all_held(self) -> bool:
        """Whether nothing in hand can be settled for some time."""
        return len(self._hand) == len(self._held)

    def left(self, *, is_careful: bool) -> int:
        """Return how many more may be in hand; none before half of it is free again, since polling costs time.

        With care: what is in hand when it dies, others will do one by one.
        """
        at_once, most = self._at_once, self.most_in_hand
        if is_careful:
            at_once = most = min(at_once, max(MOST_WITH_CARE, self._running_at_once))
        free = most - (len(self._hand) - len(self._held))
        return min(free, at_once) if 2 * free >= at_once and self._hand.bytes - self._held_bytes < MOST_BYTES else 0

    def hold(self, member: Membership, pace: Pace, *, is_full: Callable[[], bool]) -> None:
        """Let nothing more come from partitions where messages wait for long, so that there is room for the others'."""
        held = pace.held(self._hand, is_full=is_full)
        if held or self._holds:
            can_hold = member.hold({delivery.place for delivery in held})
            self._held, self._holds = held if can_hold else (), bool(held)
            self._held_bytes = size(self._held)

    @property
    def _at_once(self) -> int:
        return max(conf.DLQ_CONSUMER_BATCH, *(handler.batch_size or 1 for handler in self._handlers))

    @property
    def _running_at_once(self) -> int:
        return sum(handler.concurrency * (handler.batch_size or 1) for handler in self._handlers)
