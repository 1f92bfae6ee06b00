"""manage.py dlq_resume."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from django_dlq import stops, switches
from django_dlq.conf import conf
from django_dlq.exceptions import DlqError
from django_dlq.management.switch_command import SwitchCommand, account


class Command(SwitchCommand):
    """Resume a topic, a key or a broker, or a consumer group that has stopped itself."""

    help = (
        "Goes on sending to a topic, a key of it, or a broker that was paused; or lets a group go on that has stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --group and --release to those of a switch."""
        super().add_arguments(parser)
        parser.add_argument("--group", help="a consumer group that has stopped because too much failed")
        parser.add_argument("--release", help="with --group: the release in which it stopped (default: DLQ_RELEASE)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Resume a group, or whatever else was paused."""
        if options["group"] is None:
            if options["release"] is not None:
                raise CommandError("--release needs --group")
            super().handle(*args, **options)
        elif any(options[name] is not None for name in ("topic", "key", "broker")):
            raise CommandError("name one thing: a group, a topic, a topic and one of its keys, or a broker")
        else:
            self._resume_group(options["group"], options["release"], options)

    def _resume_group(self, group: str, release: str | None, options: dict[str, Any]) -> None:
        release = conf.DLQ_RELEASE if release is None else release
        try:
            stop = stops.resume(group, release=release, actor=options["by"] or account(), reason=options["reason"])
        except DlqError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"group {group} was not stopped; nothing was changed" if stop is None else f"resumed group {stop}"
        )

    def switch(self, thing: dict[str, str | None], *, actor: str, reason: str) -> str:
        """Resume it."""
        pause = switches.resume(**thing, actor=actor, reason=reason)
        return "it was not paused; nothing was changed" if pause is None else f"resumed {pause}"
