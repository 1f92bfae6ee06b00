"""manage.py dlq_checkback."""

from typing import Any

from django_dlq.checkback import CheckBack
from django_dlq.management.machine_command import MachineCommand


class Command(MachineCommand):
    """Ask about half messages that are due."""

    help = "Asks checkers what became of half messages whose process has not said it."

    def make(self, **options: Any) -> CheckBack:
        """Return the machine for check-back."""
        return CheckBack()

    def report(self, done: int) -> str:
        """Say about how many half messages somebody was asked."""
        return f"{done} checks made"
