"""What the commands that run one machine have in common."""

import argparse
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_dlq.beside import run_together
from django_dlq.conf import conf
from django_dlq.connections import notice_silence
from django_dlq.exceptions import DlqError
from django_dlq.runner import Loop, Machine, collecting_rarely, until_idle


def seconds(text: str) -> float:
    """Read a number of seconds from the command line."""
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("seconds must be more than 0")
    return value


class MachineCommand(BaseCommand):
    """Run a machine until SIGTERM; with --once until nothing is left, waiting `patience` seconds for the first work."""

    patience = 0.0
    interval = "DLQ_POLL_INTERVAL"

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --once and --interval."""
        parser.add_argument("--once", action="store_true", help="do what there is to do now, and end")
        parser.add_argument(
            "--interval", type=seconds, help=f"seconds to wait when there is nothing to do (default: {self.interval})"
        )

    def make(self, **options: Any) -> Machine:
        """Return the machine to run."""
        raise NotImplementedError

    def beside(self, **options: Any) -> Sequence[Machine]:
        """Return the machines that run beside it, each in a thread of its own; not with --once."""
        return ()

    def idle(self) -> float:
        """Return the seconds to wait when there is nothing to do."""
        seconds: float = getattr(conf, self.interval).total_seconds()
        return seconds

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it; an error that a person must see ends with exit status 1."""
        notice_silence()
        try:
            machine = self.make(**options)
            if options["once"]:
                self.stdout.write(self.report(until_idle(machine, patience=self.patience)))
            else:
                others = [Loop(other, idle=_between_polls()) for other in self.beside(**options)]
                self._say(self.begun())
                with collecting_rarely():
                    run_together(Loop(machine, idle=options["interval"] or self.idle()), *others)
                self._say(self.ended())
        except DlqError as error:
            raise CommandError(str(error)) from error

    def report(self, done: int) -> str:
        """Return the line that --once prints."""
        return f"{done} done"

    def begun(self) -> str:
        """Return the line that is printed before it runs, if any: by default, Django shows no logs of ours."""
        return ""

    def ended(self) -> str:
        """Return the line that is printed when it has ended, if any."""
        return ""

    def _say(self, line: str) -> None:
        if line:
            self.stdout.write(line)
            self.stdout.flush()


def _between_polls() -> float:
    return conf.DLQ_POLL_INTERVAL.total_seconds()
