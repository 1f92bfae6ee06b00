"""What a consumer has in hand: which messages may be handled now, and up to where the offsets may pass.

It knows no threads, no database and no broker, and is used by one thread.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from heapq import heappop, heappush
from operator import attrgetter

from django_dlq.consuming.delivery import Delivery, Key, handler_of, size
from django_dlq.message import Place, Record
from django_dlq.registry import Handler


class Hand:
    """Deliveries from when they are taken until their offsets are committed.

    The older ones go first. Those of one key are started one after the other, or together in one batch, in their order.
    """

    def __init__(self) -> None:
        self._number = 0
        # By partition, in the order taken: from the first that is not done.
        self._taken: dict[Place, deque[Delivery]] = {}
        # By the id of its handler: what may start, the oldest first.
        self._ready: dict[int, list[Delivery]] = {}
        # By key of which one is ready or running: those behind it.
        self._behind: dict[Key, deque[Delivery]] = {}
        self._running: set[Delivery] = set()
        self._is_alone = False
        self._waiting = 0
        self._passed: dict[Place, Record] = {}
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many are to be done or are being done."""
        return self._waiting + len(self._running)

    @property
    def running(self) -> Collection[Delivery]:
        """What was started and has not come back."""
        return self._running

    def take(self, delivery: Delivery) -> None:
        """Take one more, later than all others; one that has its outcome only waits for its offset to pass."""
        self._number = delivery.number = self._number + 1
        self._taken.setdefault(delivery.place, deque()).append(delivery)
        if delivery.outcome is not None:
            self._pass(delivery.place)
            return
        self._waiting += 1
        self.bytes += delivery.size
        self._line_up(delivery)

    def next(self, allowance: Callable[[Handler], int]) -> list[Delivery]:
        """Start the oldest that may start, with what else its handler takes in one batch; empty if nothing may.

        `allowance` says how many messages a handler may be given now.
        """
        if self._is_alone:
            return []
        heads = [ready[0] for ready in self._ready.values()]
        for head in heads if len(heads) == 1 else sorted(heads):
            if head.deaths and self._running:
                return []  # nothing is started after it, so that it comes to be alone
            handler = handler_of(head)
            if most := min(handler.batch_size or 1, allowance(handler)):
                return self._start(handler, 1 if head.deaths else most)
        return []

    def held(self, is_blocked: Callable[[Handler], bool]) -> list[Delivery]:
        """Return what cannot start while these handlers may not run, with what is behind it."""
        held: list[Delivery] = []
        for ready in self._ready.values():
            if is_blocked(handler_of(ready[0])):
                held += ready
                for delivery in ready:
                    held += self._behind[delivery.key] if delivery.key else ()
        return held

    def returned(self, work: Sequence[Delivery]) -> None:
        """Take back what was started: what has an outcome is done, the rest is started again, first of its key.

        What was taken back already is passed over.
        """
        if len(work) == 1 and work[0].outcome is not None:  # as nearly always where no batches are handled
            self._done(work[0])
            return
        work = [delivery for delivery in work if delivery in self._running]
        self._running.difference_update(work)
        self._is_alone = self._is_alone and bool(self._running)
        self.bytes -= size(work)
        again = [delivery for delivery in work if delivery.outcome is None and not delivery.is_revoked]
        freed = {key for delivery in work if (key := delivery.key)}
        for delivery in reversed(again):
            self._waiting += 1
            self.bytes += delivery.size
            if key := delivery.key:
                self._behind[key].appendleft(delivery)
            else:
                self._make_ready(delivery)
        for key in freed:
            self._free(key)
        for place in {delivery.place for delivery in work}:
            self._pass(place)

    def _done(self, delivery: Delivery) -> None:
        if delivery in self._running:
            self._running.remove(delivery)
            self._is_alone = self._is_alone and bool(self._running)
            self.bytes -= delivery.size
            if delivery.key is not None:
                self._free(delivery.key)
            self._pass(delivery.place)

    def revoke(self, places: Collection[Place]) -> None:
        """Drop what has not started in these partitions, and never commit what is still running there."""
        if not places:
            return
        for place in places:
            self._passed.pop(place, None)
            for delivery in self._taken.pop(place, ()):
                delivery.is_revoked = True
        left = sorted(delivery for delivery in self._all_waiting() if not delivery.is_revoked)
        self._ready.clear()
        self._behind = {key: deque() for delivery in self._running if (key := delivery.key)}
        self._waiting = len(left)
        self.bytes = size([*left, *self._running])
        for delivery in left:
            self._line_up(delivery)

    def passed(self) -> list[Record]:
        """Return the last record of each partition before which all are done, if its offset is to be committed."""
        return list(self._passed.values())

    def committed(self) -> None:
        """Forget what `passed` has returned: its offsets are committed."""
        self._passed.clear()

    def clear(self) -> None:
        """Drop everything."""
        self.__init__()  # type: ignore[misc]  # as new

    def _line_up(self, delivery: Delivery) -> None:
        """Let it wait for its turn, later than all that wait already."""
        key = delivery.key
        if key in self._behind:
            self._behind[key].append(delivery)
            return
        if key is not None:
            self._behind[key] = deque()
        # At the end, where the greatest of a heap may be: nothing has to be compared.
        self._ready.setdefault(id(delivery.handler), []).append(delivery)

    def _make_ready(self, delivery: Delivery) -> None:
        heappush(self._ready.setdefault(id(delivery.handler), []), delivery)

    def _start(self, handler: Handler, most: int) -> list[Delivery]:
        """Start up to so many of one handler, the oldest first."""
        started = self._take_first(handler, 1) if most == 1 else self._take_batch(handler, most)
        self._running.update(started)
        self._is_alone = started[0].deaths > 0
        self._waiting -= len(started)
        return started

    def _take_batch(self, handler: Handler, most: int) -> list[Delivery]:
        """Take out up to so many of one handler that may start, with those behind a key's that are for it too."""
        ready, next_of_keys, started = self._take_first(handler, most), list[Delivery](), list[Delivery]()
        while len(started) < most and (ready or next_of_keys):
            is_ready = not next_of_keys or (ready and ready[-1] < next_of_keys[0])
            if started and (ready[-1] if is_ready else next_of_keys[0]).deaths:
                break
            started.append(delivery := ready.pop() if is_ready else heappop(next_of_keys))
            behind = self._behind[delivery.key] if delivery.key else None
            if behind and handler_of(behind[0]) is handler:
                heappush(next_of_keys, behind.popleft())
        for delivery in next_of_keys:  # for these the batch had no room
            assert delivery.key is not None
            self._behind[delivery.key].appendleft(delivery)
        for delivery in ready:
            self._make_ready(delivery)
        return started

    def _take_first(self, handler: Handler, most: int) -> list[Delivery]:
        """Take out up to so many of one handler that may start, and return them with the oldest at the end."""
        ready = self._ready[id(handler)]
        if most == 1:
            first = [heappop(ready)]
        else:
            ready.sort(key=_number)  # a heap too, and much sooner than each is taken out of one by itself
            first = ready[:most]
            first.reverse()
            del ready[:most]
        if not ready:
            del self._ready[id(handler)]
        return first

    def _free(self, key: Key) -> None:
        behind = self._behind[key]
        if behind:
            self._make_ready(behind.popleft())
        else:
            del self._behind[key]

    def _pass(self, place: Place) -> None:
        taken = self._taken.get(place)
        while taken and taken[0].outcome is not None:
            self._passed[place] = taken.popleft().record

    def _all_waiting(self) -> Iterable[Delivery]:
        for queue in (*self._ready.values(), *self._behind.values()):
            yield from queue


_number = attrgetter("number")
