"""A service that handlers depend on, which a test takes down and brings back."""

from datetime import timedelta

from django_dlq import inbox
from django_dlq.models import Dependency, in_future
from tests.shop.models import Box

NAME = "logistics"


class Logistics:
    """Something out there. `lies` is what its probe says, one after the other, in place of the truth."""

    def __init__(self):
        self.is_up, self.lies = True, []
        self.calls, self.probed = [], 0
        self.poisoned = set()

    def probe(self):
        """Say whether it is up."""
        self.probed += 1
        if not (self.lies.pop(0) if self.lies else self.is_up):
            raise ConnectionRefusedError("nobody listens")

    def pack(self, *messages):
        """Pack boxes, which takes a call to it for each message."""
        for message in messages:
            self.calls.append((message.message_key, message.attempt))
            if not self.is_up or message.message_key in self.poisoned:
                raise ConnectionRefusedError("nobody listens")
            Box.objects.create(order=message.message_key)

    def serve(self, group, *topics, **options):
        """Register a handler of its own for these topics."""

        def pack(message):
            self.pack(*message) if isinstance(message, list) else self.pack(message)

        pack.__qualname__ = f"pack_for_{group}"
        inbox.handler(*(topics or ["orders"]), group=group, depends_on=NAME, **options)(pack)

    def watch(self, **options):
        """Register its probe."""
        inbox.probe(NAME, **options)(self.probe)


def circuit():
    """Return the row, or a new one if there is none."""
    return Dependency.objects.filter(name=NAME).first() or Dependency(name=NAME)


def let_time_pass():
    """Make it time for the next probe or trial."""
    Dependency.objects.filter(next_probe_at__isnull=False).update(next_probe_at=in_future(timedelta(seconds=-1)))


def open_by_itself(**columns):
    """Write an open circuit whose next probe is due."""
    columns = {"state": "open", "failures": 5, "opened_at": in_future(timedelta(seconds=-60))} | columns
    columns.setdefault("next_probe_at", in_future(timedelta(seconds=-1)))
    return Dependency.objects.create(name=NAME, **columns)
