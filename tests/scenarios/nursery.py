"""Start processes at once: one that has imported everything forks another for each line that it reads.

    python -m tests.scenarios.nursery dlq_relay

A scenario that kills a process each second would otherwise measure how fast Python starts. Its children end with it.
"""

import os
import signal
import sys
from importlib import import_module

import django
from django.core.management import call_command

from django_dlq.runner import SUPERVISOR


def main(command: str) -> None:
    """Fork a child for each line, and answer with its number."""
    django.setup()
    import_module(f"django_dlq.management.commands.{command}")
    import_module("django_dlq.brokers.kafka")
    os.environ[SUPERVISOR] = str(os.getpid())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    for _ in sys.stdin:
        if child := os.fork():
            print(child, flush=True)  # noqa: T201  # the answer
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(2, 1)
        call_command(command)
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
