"""What the walk along the outbox has passed by, since it might not be sent, and may be sent now."""

from django_dlq.models.outgoing import Outgoing
from django_dlq.models.things import Thing, things_of


class Arrears:
    """From where on to look for each thing that is in the way of messages, when it is so no more.

    Only its own messages are looked for, beside the walk, which goes on where it is and leaves them alone until then:
    so a broker that is tried every few seconds costs the others nothing, and each key keeps its order.

    things: what is being looked for. position: up to which id that is done.
    """

    def __init__(self) -> None:
        self.things: frozenset[Thing] = frozenset()
        self.position = 0
        self._from: dict[Thing, int] = {}

    def forget(self) -> None:
        """Look for nothing, and for whatever is let go from the beginning on."""
        self.things = frozenset()
        self._from.clear()

    def change(self, before: frozenset[Thing], now: frozenset[Thing], passed: int) -> None:
        """Take note of what is in the way now. passed: up to where the walk has handed out what was not."""
        if self.things:
            passed = min(passed, self.position)
        for thing in now - before:
            self._from[thing] = passed
        lifted, going_on = before - now, self.things - now
        starts = [self._from.pop(thing, 0) for thing in lifted]
        self.position = min([*starts, self.position] if going_on or not starts else starts)
        self.things = lifted | going_on
        kinds = {kind for kind, _ in lifted}
        for thing in now:
            # One of its messages may have waited for what is lifted too. No message has two things of one kind.
            if kinds - {thing[0]}:
                self._from[thing] = min(self._from.get(thing, 0), self.position)

    def take_back(self, row: Outgoing, in_the_way: frozenset[Thing]) -> bool:
        """Look for this row again when it may be sent; return False if the walk has to do so itself."""
        things = things_of(row)
        for thing in things & in_the_way:
            self._from[thing] = min(self._from.get(thing, 0), row.id - 1)
        if things & in_the_way:
            return True
        if things & self.things:
            self.position = min(self.position, row.id - 1)
            return True
        return False

    def found(self, last: int, *, is_all: bool) -> None:
        """Take note that all has been seen up to this id, or all there is."""
        self.position = last
        if is_all:
            self.things = frozenset()
