"""manage.py dlq_stats."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from django_dlq import health, metrics
from django_dlq.connections import notice_silence
from django_dlq.management import stats_table
from django_dlq.management.machine_command import seconds
from django_dlq.runner import Loop


class Command(BaseCommand):
    """Print the figures, once or again and again."""

    help = "Prints what waits, since when, who sends it, and what is in its way."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --json, --watch and --check."""
        parser.add_argument("--json", action="store_true", help="one JSON document in one line")
        parser.add_argument(
            "--check",
            action="store_true",
            help="print only what needs a person, and end with exit status 1 if anything does",
        )
        parser.add_argument(
            "--watch", type=seconds, metavar="SECONDS", help="print them again and again, about so often, until SIGTERM"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print them."""
        notice_silence()
        self.is_json: bool = options["json"]
        if options["check"]:
            self._check()
            return
        if options["watch"]:
            Loop(self, idle=options["watch"]).run()
        else:
            self.run_once()

    def run_once(self) -> int:
        """Print the figures of now."""
        told = metrics.snapshot()
        self.stdout.write(json.dumps(told.as_dict()) if self.is_json else "\n".join(stats_table.lines(told)))
        self.stdout.flush()
        return 0

    def _check(self) -> None:
        wrong = health.problems()
        if self.is_json:
            self.stdout.write(json.dumps([problem._asdict() for problem in wrong]))
        else:
            self.stdout.write("\n".join(f"{problem.what}: {problem.text}" for problem in wrong) or "all is well")
        if any(problem.is_urgent for problem in wrong):
            raise SystemExit(1)

    def close(self) -> None:
        """Give back nothing: a snapshot holds nothing."""
