"""manage.py dlq_consume."""

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_dlq.consumer import Consumer
from django_dlq.exceptions import GroupIsStopped
from django_dlq.management.machine_command import MachineCommand
from django_dlq.registry import handlers
from django_dlq.retries import Retries
from django_dlq.runner import Machine


class Command(MachineCommand):
    """Consume the messages of one group."""

    # Joining a group alone takes some seconds: by default a Kafka broker waits three for further members.
    patience = 10.0

    help = "Hands the messages of a consumer group to its handlers, and tries again what failed there."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --group and --no-retries to those of every machine."""
        super().add_arguments(parser)
        parser.add_argument("--group", help="the consumer group; may be left out if the project has one only")
        parser.add_argument("--no-retries", action="store_true", help="leave the group's retries to dlq_retry")

    def make(self, **options: Any) -> Consumer:
        """Return a consumer of the group."""
        self.consumer = Consumer(options["group"] or _only_group())
        return self.consumer

    def beside(self, **options: Any) -> Sequence[Machine]:
        """Return the group's retries: they have threads of their own, so neither they nor fresh messages starve."""
        return () if options["no_retries"] else Retries.several(self.consumer.group, rates=self.consumer.rates)

    def idle(self) -> float:
        """Do not wait: asking the broker waits already."""
        return 0.001

    def report(self, done: int) -> str:
        """Say how many messages were settled; raise GroupIsStopped if a person must act before there can be more."""
        if self.consumer.is_stopped:
            raise GroupIsStopped(
                f"group {self.consumer.group} is stopped after {done} messages, since too many have failed: "
                "dlq_stats says why, and dlq_resume --group lets it go on"
            )
        return f"{done} messages settled"


def _only_group() -> str:
    groups = handlers.groups()
    if not groups:
        raise CommandError("no app has a handler; write one in the module `handlers` of an installed app")
    if len(groups) > 1:
        raise CommandError(f"name one group with --group: {', '.join(groups)}. dlq_run runs them all.")
    return groups[0]
