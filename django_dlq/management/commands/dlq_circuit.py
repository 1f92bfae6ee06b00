"""manage.py dlq_circuit."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from django_dlq import dependencies
from django_dlq.exceptions import DlqError
from django_dlq.management.switch_command import account
from django_dlq.models import Circuit, Dependency


class Command(BaseCommand):
    """Open or close a circuit, replay what died of an outage, or list the circuits."""

    help = "Lists the circuits of what handlers depend on, opens or closes one, or replays what died of an outage."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what shall be done, to which dependency, why, and by whom."""
        acts = parser.add_mutually_exclusive_group()
        acts.add_argument("--open", metavar="DEPENDENCY", help="call no handler that needs it until it is closed again")
        acts.add_argument("--close", metavar="DEPENDENCY", help="call its handlers again, whoever has opened it")
        acts.add_argument("--replay", metavar="DEPENDENCY", help="replay the dead letters that died of it until now")
        parser.add_argument("--reason", default="", help="why; others will want to know")
        parser.add_argument("--by", default="", help="who does it (default: the account that runs the command)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it, or list the circuits."""
        try:
            self.stdout.write(self._act({"actor": options["by"] or account(), "reason": options["reason"]}, options))
        except DlqError as error:
            raise CommandError(str(error)) from error

    def _act(self, who: dict[str, str], options: dict[str, Any]) -> str:
        if name := options["open"]:
            is_new = dependencies.open_circuit(name, actor=who["actor"], reason=who["reason"])
            row = Dependency.objects.get(name=name)
            return f"opened the circuit of {name}" if is_new else f"it was opened already. {describe(row)}"
        if name := options["close"]:
            was_open = dependencies.close_circuit(name, actor=who["actor"], reason=who["reason"])
            return f"closed the circuit of {name}" if was_open else "it was not open; nothing was changed"
        if name := options["replay"]:
            count = dependencies.replay_dead(name, actor=who["actor"], reason=who["reason"])
            return f"{count} letters will be replayed"
        rows = Dependency.objects.order_by("name")
        return "\n".join(map(describe, rows)) or "no dependency has failed yet"


def describe(row: Dependency) -> str:
    """Return a circuit as one line: its state, since when, and why."""
    text = f"{row}: {row.get_state_display()}"
    if row.state != Circuit.CLOSED and row.opened_at is not None:
        text += f" since {timezone.localtime(row.opened_at):%Y-%m-%d %H:%M:%S %Z}"
        text += f" by {row.actor_name}: {row.reason}" if row.is_by_hand else f": {row.error_class}: {row.error_message}"
    return " ".join(text.split()) + f"; dead letters: {row.dead().count()}"
