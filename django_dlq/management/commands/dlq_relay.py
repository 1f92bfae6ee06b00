"""manage.py dlq_relay."""

from collections.abc import Sized
from typing import Any

from django.core.management.base import CommandError

from django_dlq import signals
from django_dlq.debezium import expect_relay
from django_dlq.management.machine_command import MachineCommand
from django_dlq.relay import Relay


class Command(MachineCommand):
    """Send the outbox to the brokers."""

    interval = "DLQ_RELAY_POLL_INTERVAL"
    help = "Sends the messages of the outbox to their brokers. Several relays share the work."

    def make(self, **options: Any) -> Relay:
        """Return a relay; raise RelayIsOff where Debezium is in its place."""
        expect_relay()
        self.relay = Relay(pipelined=not options["once"])
        self.sent = 0
        signals.messages_published.connect(self._count)
        return self.relay

    def report(self, done: int) -> str:
        """Say how many messages left the outbox, and raise CommandError if a broker could not take the rest."""
        if troubles := self.relay.unavailable():
            why = "; ".join(f"broker {alias}: {reason}" for alias, reason in troubles.items())
            raise CommandError(f"{done} messages left the outbox, and others wait for their broker. {why}")
        return f"{done} messages left the outbox"

    def begun(self) -> str:
        """Say who sends, also where other relays have all lanes and nothing comes of it."""
        return f"relay {self.relay.owner} sends the outbox until SIGTERM or Ctrl-C; dlq_stats tells what it does"

    def ended(self) -> str:
        """Say how much was sent."""
        return f"relay {self.relay.owner} has ended and sent {self.sent:,} messages"

    def _count(self, *, rows: Sized, **_: Any) -> None:
        self.sent += len(rows)
