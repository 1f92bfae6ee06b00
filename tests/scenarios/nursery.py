"""Start processes at once: one that has imported everything forks another for each line that it reads.

A line is a list in JSON: the file for the child's output, a module as after `python -m` (`django` or one of ours), its
arguments. The answer is the child's number; how it ended will be in a file of that name. Starting Python and Django
takes a second of a processor, and scenarios start some hundred processes. The children end with the nursery.
"""

import json
import os
import signal
import sys
from importlib import import_module
from pathlib import Path

import confluent_kafka  # noqa: F401  # for the children; our own driver is left to them, since dying.py comes before it
import django
from django.core.management import call_command

from django_dlq.runner import SUPERVISOR

COMMANDS = ("dlq_relay", "dlq_consume", "dlq_retry")


def main(directory: str) -> None:
    """Fork a child for each line, and answer with its number."""
    django.setup()
    for command in COMMANDS:
        import_module(f"django_dlq.management.commands.{command}")
    os.environ[SUPERVISOR] = str(os.getpid())
    signal.signal(signal.SIGCHLD, lambda *_: note_ends(Path(directory)))
    for line in sys.stdin:
        if child := os.fork():
            print(child, flush=True)  # noqa: T201  # the answer
        else:
            run(*json.loads(line))


def note_ends(directory: Path) -> None:
    """Write down how each child ended that is gone, as `subprocess` says it: the status, or the signal below zero."""
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not child:
            return
        unfinished = directory / f"{child}.unfinished"
        unfinished.write_text(str(os.waitstatus_to_exitcode(status)))
        unfinished.rename(directory / str(child))


def run(log: str, module: str, *arguments: str) -> None:
    """Be the child: do what a process of its own would do, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        if module == "django":
            call_command(*arguments)
        else:
            import_module(module).main(*arguments)
    except SystemExit as end:
        finish(end.code if isinstance(end.code, int) else bool(end.code))
    except BaseException:  # noqa: BLE001  # said as Python would, at its end
        sys.excepthook(*sys.exc_info())
        finish(1)
    finish(0)


def finish(status: int) -> None:
    """End with this status, and run nothing that the nursery had prepared for its own end."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
