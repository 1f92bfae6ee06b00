"""manage.py dlq_retry."""

from typing import Any

from django.core.management.base import CommandParser

from django_dlq.management.machine_command import MachineCommand
from django_dlq.retries import Retries


class Command(MachineCommand):
    """Make the attempts that are due."""

    help = "Tries messages that failed again, when they are due."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --group to those of every machine."""
        super().add_arguments(parser)
        parser.add_argument("--group", help="only what failed in this consumer group (default: in any)")

    def make(self, **options: Any) -> Retries:
        """Return the machine for retries."""
        return Retries(options["group"])

    def report(self, done: int) -> str:
        """Say how many attempts were made."""
        return f"{done} attempts made"
