"""Run a management command whose machine, when it finds nothing, always rests for the whole of its interval.

    python -m tests.scenarios.resting dlq_relay

So what it finds before the interval is over, it was told of.
"""

import sys

import django
from django.core.management import call_command

from django_dlq import runner


def rest_after(quiet: float, *, idle: float) -> float:
    """Return the longest rest, however short the quiet was."""
    return idle


if __name__ == "__main__":
    django.setup()
    runner.rest_after = rest_after
    call_command(*sys.argv[1:])
