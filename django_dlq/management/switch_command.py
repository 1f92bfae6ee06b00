"""What dlq_pause and dlq_resume have in common: what they are about, who acts, and the list of what is paused."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from django_dlq.exceptions import DlqError
from django_dlq.models import Pause, count_waiting


class SwitchCommand(BaseCommand):
    """Pause or resume one thing; without one, list what is paused."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add what is switched, why, and by whom."""
        parser.add_argument("--topic", help="a topic")
        parser.add_argument("--key", help="with --topic: only this key of it")
        parser.add_argument("--broker", help="an alias of DLQ_BROKERS")
        parser.add_argument("--reason", default="", help="why; others will want to know")
        parser.add_argument("--by", default="", help="who does it (default: the account that runs the command)")
        parser.add_argument("--list", action="store_true", help="only list what is paused, as without any option")

    def handle(self, *args: Any, **options: Any) -> None:
        """Switch it, or list what is paused."""
        thing = {name: options[name] for name in ("topic", "key", "broker")}
        if options["list"] or (set(thing.values()) == {None} and not options["reason"]):
            self._list()
            return
        try:
            said = self.switch(thing, actor=options["by"] or account(), reason=options["reason"])
        except DlqError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(said)

    def switch(self, thing: dict[str, str | None], *, actor: str, reason: str) -> str:
        """Do it, and return the line that says what was done."""
        raise NotImplementedError

    def _list(self) -> None:
        pauses = list(Pause.objects.order_by("pk"))
        if not pauses:
            self.stdout.write("nothing is paused")
        for pause, waiting in zip(pauses, count_waiting(*(pause.stopped for pause in pauses)), strict=True):
            self.stdout.write(f"{describe(pause)}; waiting: {waiting}")


def describe(pause: Pause) -> str:
    """Return a pause as one line: what, since when, by whom, and why."""
    since = timezone.localtime(pause.at)
    text = f"{pause}: paused since {since:%Y-%m-%d %H:%M:%S %Z} by {pause.actor_name}: {pause.reason}"
    return " ".join(text.split())


def account() -> str:
    """Return the name of the account that runs the command, or its number where it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "an unnamed account"
