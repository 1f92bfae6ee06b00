"""manage.py dlq_run."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser

from django_dlq import debezium
from django_dlq.conf import conf
from django_dlq.management.machine_command import seconds
from django_dlq.registry import handlers
from django_dlq.supervisor import Supervisor, manage

MARGIN = 5.0


class Command(BaseCommand):
    """Run every process of a small deployment."""

    help = (
        "Runs the relay, one consumer per group, retries, check-back and retention, each in a process, and restarts "
        "what dies."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --once and --grace."""
        parser.add_argument("--once", action="store_true", help="run each in turn until it has nothing to do, and end")
        parser.add_argument(
            "--grace",
            type=seconds,
            help=f"seconds that processes have to end after SIGTERM (default: DLQ_CONSUMER_GRACE and {MARGIN:g} more)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Supervise, or run each once."""
        if options["once"]:
            for arguments in machines().values():
                call_command(*arguments, "--once", stdout=self.stdout)
            return
        commands = {name: manage(*arguments) for name, arguments in machines().items()}
        # A consumer that must end without a handler needs some more time to commit and to leave its group.
        grace = options["grace"] or conf.DLQ_CONSUMER_GRACE.total_seconds() + MARGIN
        Supervisor(commands, grace=grace).run()


def machines() -> dict[str, tuple[str, ...]]:
    """Return the management command of each process, by its name."""
    consumers = {f"consume {group}": ("dlq_consume", "--group", group) for group in handlers.groups()}
    relay = {} if debezium.is_used() else {"relay": ("dlq_relay",)}
    return {**relay, **consumers, "retry": ("dlq_retry",), "checkback": ("dlq_checkback",), "prune": ("dlq_prune",)}
