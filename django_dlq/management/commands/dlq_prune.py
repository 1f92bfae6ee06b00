"""manage.py dlq_prune."""

from typing import Any

from django_dlq.management.machine_command import MachineCommand
from django_dlq.retention import Retention, reason_to_rest

IDLE = 60.0


class Command(MachineCommand):
    """Delete what has been kept long enough."""

    help = (
        "Deletes history, inbox rows, settled dead letters and decided half messages that are older than the retention "
        "settings say."
    )

    def make(self, **options: Any) -> Retention:
        """Return the machine for retention."""
        return Retention()

    def idle(self) -> float:
        """Look once a minute: nothing is urgent here."""
        return IDLE

    def report(self, done: int) -> str:
        """Say how many rows were deleted, and why there could be none."""
        reason = reason_to_rest()
        return f"{done} rows deleted" + (f": {reason}" if reason else "")
