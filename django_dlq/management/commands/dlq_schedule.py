"""manage.py dlq_schedule."""

import argparse
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import router, transaction

from django_dlq import debezium
from django_dlq.registry import handlers

PREFIX = "django_dlq: "
TASKS = "django_dlq.celery_tasks."
# Seconds between runs. A consumer has to join its group each time, so it comes less often and stays longer.
EVERY = {"relay": 5, "consume": 30, "retry": 10, "checkback": 10, "prune": 3600}
LONGEST = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One periodic task that there shall be."""

    machine: str
    group: str = ""

    @property
    def name(self) -> str:
        """Its name in the admin."""
        return f"{PREFIX}{self.machine} {self.group}".rstrip()

    @property
    def kwargs(self) -> str:
        """Its arguments, as JSON."""
        return json.dumps({"group": self.group} if self.group else {})


class Command(BaseCommand):
    """Write the periodic tasks that run the machines."""

    help = (
        "Writes django-celery-beat's periodic tasks for the relay, one consumer per group, retries, check-back and "
        "retention. Run it after each deployment: it adds what is missing, removes the consumers of groups that are "
        "gone, and leaves alone what people have set, such as a task that is disabled or another interval."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add --remove and one option for each machine's interval."""
        parser.add_argument("--remove", action="store_true", help="delete the tasks that this command has written")
        for machine, every in EVERY.items():
            parser.add_argument(
                f"--{machine}-every",
                type=whole_seconds,
                metavar="SECONDS",
                help=f"the time from run to run, set for tasks that exist too (default, for new ones only: {every})",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write or remove the tasks."""
        if not apps.is_installed("django_celery_beat"):
            raise CommandError(
                'The schedule is kept by django-celery-beat: pip install "django_dlq[celery]", and add '
                "'django_celery_beat' to INSTALLED_APPS."
            )
        wanted = [] if options["remove"] else entries()
        tasks = apps.get_model("django_celery_beat", "PeriodicTask")._default_manager
        with transaction.atomic(using=router.db_for_write(tasks.model)):
            self._remove(tasks, [entry.name for entry in wanted])
            for entry in wanted:
                self._write(tasks, entry, options[f"{entry.machine}_every"])

    def _remove(self, tasks: Any, wanted: Collection[str]) -> None:
        for task in tasks.filter(name__startswith=PREFIX, task__startswith=TASKS).order_by("pk"):
            if _is_own(task) and task.name not in wanted:
                task.delete()
                self.stdout.write(f"removed  {task.name}")

    def _write(self, tasks: Any, entry: Entry, every: int | None) -> None:
        task = tasks.filter(name=entry.name).first()
        word = "kept   "
        if task is None:
            task, word = tasks.model(name=entry.name), "added  "
            every = every or EVERY[entry.machine]
        before = _columns(task)
        task.task, task.args, task.kwargs = f"{TASKS}{entry.machine}", "[]", entry.kwargs
        if every is not None:
            _set_interval(task, every)
        if _columns(task) != before:
            word = "added  " if task.pk is None else "updated"
            task.save()
        self.stdout.write(f"{word}  {task.name}{'' if task.enabled else ' (disabled)'}")


def entries() -> list[Entry]:
    """Return the periodic tasks that this project needs."""
    consumers = [Entry(machine="consume", group=group) for group in handlers.groups()]
    relay = [] if debezium.is_used() else [Entry(machine="relay")]
    return [*relay, *consumers, Entry(machine="retry"), Entry(machine="checkback"), Entry(machine="prune")]


def whole_seconds(text: str) -> int:
    """Read a whole number of seconds from the command line, up to a day."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= LONGEST):
        raise argparse.ArgumentTypeError(f"a whole number from 1 to {LONGEST}, not {text!r}")
    return int(text)


def _is_own(task: Any) -> bool:
    machine, _, group = task.name.removeprefix(PREFIX).partition(" ")
    return task.task == f"{TASKS}{machine}" and machine in EVERY and bool(group) is (machine == "consume")


def _columns(task: Any) -> dict[str, Any]:
    names = ("task", "args", "kwargs", "interval_id", "crontab_id", "solar_id", "clocked_id", "expire_seconds")
    return {name: getattr(task, name) for name in names}


def _set_interval(task: Any, every: int) -> None:
    intervals = apps.get_model("django_celery_beat", "IntervalSchedule")._default_manager
    columns = {"every": every, "period": "seconds"}
    # Not get_or_create: nothing keeps two equal intervals from being there.
    task.interval = intervals.filter(**columns).first() or intervals.create(**columns)
    task.crontab = task.solar = task.clocked = None
    if task.expires is None:
        # A run that has waited for a worker until the next one comes is not needed any more.
        task.expire_seconds = every
