"""manage.py dlq_relay."""

from typing import Any

from django_dlq.management.machine_command import MachineCommand
from django_dlq.relay import Relay


class Command(MachineCommand):
    """Send the outbox to the brokers."""

    help = "Sends the messages of the outbox to their brokers. One relay at a time works; others wait for its lease."

    def make(self, **options: Any) -> Relay:
        """Return a relay."""
        return Relay()

    def report(self, done: int) -> str:
        """Say how many messages left the outbox."""
        return f"{done} messages left the outbox"
