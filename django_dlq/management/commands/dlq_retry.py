"""manage.py dlq_retry."""

from typing import Any

from django_dlq.management.machine_command import MachineCommand
from django_dlq.retries import Retries


class Command(MachineCommand):
    """Make the attempts that are due."""

    help = "Tries messages that failed again, when they are due."

    def make(self, **options: Any) -> Retries:
        """Return the machine for retries."""
        return Retries()

    def report(self, done: int) -> str:
        """Say how many attempts were made."""
        return f"{done} attempts made"
