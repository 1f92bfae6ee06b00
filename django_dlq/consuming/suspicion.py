"""Find the message that kills its process, without a statement for those that do not.

A consumer writes down which partitions it has taken, and takes that back when it gives them back. A partition that it
finds taken by another may have been left by one that died. So what it takes from there it writes down too, as many
messages as that one can have had in hand. Whoever finds such a message written down by another handles it alone, and
counts a death before.
"""

import os
import socket
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress

from django.db import DatabaseError

from django_dlq import signals
from django_dlq.consuming.delivery import Delivery, handler_of
from django_dlq.consuming.quiet import quiet
from django_dlq.message import Place
from django_dlq.models import Suspect, TakenPartition

Settle = Callable[[Sequence[Delivery]], None]


class Suspicion:
    """What one consumer has written down. Used by the thread that has the hand, `guard` by those that settle.

    `most_in_hand`: how many messages a consumer of the group can have in hand.
    """

    def __init__(self, group: str, *, most_in_hand: int, is_off: bool = False) -> None:
        self.group, self.owner = group, f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._most_in_hand, self._is_off = most_in_hand, is_off
        self._new: list[Delivery] = []
        # By partition that is this consumer's: of how many more messages to write down that they are in hand.
        self._left: dict[Place, int] = {}
        # What of it is in hand; of a suspect with its row.
        self._written: dict[Delivery, Suspect | None] = {}
        self._done: list[Delivery] = []

    @property
    def is_careful(self) -> bool:
        """Whether what is taken next may have killed a process, as far as is known."""
        return not self._is_off and (not self._left or any(self._left.values()))

    def took(self, delivery: Delivery) -> None:
        """Hear of a message that was taken and is to be handled."""
        if not self._is_off:
            self._new.append(delivery)

    def look(self) -> None:
        """Write down what must be before what was taken is handled. If this raises, nothing may be handled yet."""
        if not self._new:
            return
        self._take({delivery.place for delivery in self._new} - self._left.keys())
        careful = [delivery for delivery in self._new if self._left.get(delivery.place)]
        if careful:
            self._write(careful)
        self._new.clear()

    def guard(self, settle: Settle) -> Settle:
        """Return the function that settles, such that a suspect is settled alone, and its death counted before."""
        if self._is_off:
            return settle

        def guarded(work: Sequence[Delivery]) -> None:
            suspect = self._written.get(work[0])
            if suspect is None:
                with quiet.beside():
                    settle(work)
                return
            with quiet.alone():
                suspect.begin(self.owner)
                settle(work)
                if work[0].outcome is not None:
                    _clear(self.group, work)

        return guarded

    def returned(self, work: Sequence[Delivery]) -> None:
        """Hear of what comes back settled, or to be tried again."""
        if not self._written:
            return
        for delivery in work:
            if delivery.outcome is None or delivery not in self._written:
                continue
            if self._written.pop(delivery) is None:
                self._done.append(delivery)
            # What the dead one had done before was not in its hands, and what failed may come again and again.
            if delivery.outcome in ("handled", "parked") and (left := self._left.get(delivery.place)):
                self._left[delivery.place] = left - 1

    def forget(self) -> None:
        """Take back what was written down of messages that are done."""
        if self._done:
            _clear(self.group, self._done)
            self._done.clear()

    def revoke(self, places: Collection[Place], running: Collection[Delivery]) -> None:
        """Take back what was written down of partitions that this consumer has no more, except for what still runs."""
        if places and not self._is_off:
            self._new = [delivery for delivery in self._new if delivery.place not in places]
            mine = [place for place in places if self._left.pop(place, None) is not None]
            with suppress(DatabaseError):  # then somebody is careful without a need
                self._give_back(mine, running)

    def close(self, running: Collection[Delivery]) -> None:
        """Do that for all partitions; those where something runs, and will die with the process, stay written down."""
        if not self._is_off:
            self._new.clear()
            still = {delivery.place for delivery in running}
            with suppress(DatabaseError):  # then somebody is careful without a need
                self._give_back([place for place in self._left if place not in still], running)
                self.forget()
            self._left.clear()

    def _take(self, places: set[Place]) -> None:
        if not places:
            return
        left = TakenPartition.objects.take(self.owner, self.group, places)
        if left:
            firsts = [(delivery.place, _offset(delivery)) for delivery in reversed(self._new)]
            Suspect.objects.clear_before(self.group, {place: offset for place, offset in firsts if place in left})
            signals.tell(signals.partitions_left, Suspicion, group=self.group, places=sorted(left))
        self._left |= {place: self._most_in_hand if place in left else 0 for place in places}

    def _write(self, deliveries: Sequence[Delivery]) -> None:
        known = Suspect.objects.among(self.group, _offsets(deliveries))
        unknown: list[Suspect] = []
        written: dict[Delivery, Suspect | None] = dict.fromkeys(deliveries)
        for delivery in deliveries:
            row = known.get((delivery.place, _offset(delivery)))
            if row is None:
                unknown.append(self._row(delivery))
            elif row.message_id == delivery.message.message_id and row.owner != self.owner:
                delivery.deaths, written[delivery] = row.deaths, row
                told = {"message": delivery.message, "handler": delivery.handler, "deaths": row.deaths}
                signals.tell(signals.message_suspected, Suspicion, **told)
        Suspect.objects.write_down(unknown)
        self._written |= written

    def _row(self, delivery: Delivery) -> Suspect:
        topic, partition = delivery.place
        return Suspect(
            group=self.group,
            topic=topic,
            partition=partition,
            offset=_offset(delivery),
            message_id=delivery.message.message_id,
            message_key=delivery.message.message_key,
            handler=handler_of(delivery).name[:255],
            owner=self.owner,
        )

    def _give_back(self, places: Sequence[Place], running: Collection[Delivery]) -> None:
        gone = [each for each in self._written if each.place in places and each not in running]
        # A suspect stays one for whoever is given it next.
        _clear(self.group, [delivery for delivery in gone if self._written[delivery] is None])
        TakenPartition.objects.give_back(self.owner, self.group, places)
        for delivery in gone:
            del self._written[delivery]


def _clear(group: str, deliveries: Iterable[Delivery]) -> None:
    Suspect.objects.clear(group, _offsets(deliveries))


def _offsets(deliveries: Iterable[Delivery]) -> dict[Place, list[int]]:
    offsets = defaultdict[Place, list[int]](list)
    for delivery in deliveries:
        offsets[delivery.place].append(_offset(delivery))
    return offsets


def _offset(delivery: Delivery) -> int:
    return delivery.record.offset or 0
