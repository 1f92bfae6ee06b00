"""The machines as Celery tasks, for projects that have a worker and a beat and want no further processes.

Let the worker import this module (`app.conf.imports = ["django_dlq.celery_tasks"]`) and run `manage.py dlq_schedule`.

Each task works until nothing is left, or for SECONDS, and beat starts the next one. Runs that overlap do no harm: of
two relays each sends its share of the lanes, consumers of a group share its partitions, a letter that one
retry has in hand another passes over, and of two that prune one finds nothing. A task that is killed or lost loses no
message, as when any other process of this app dies. So tasks are not acknowledged late: the next one comes anyway, and
does the same work.

Not promised: the latency of `dlq_run`, which waits for nobody's tick. A consumer joins its group anew for each task.
"""

from collections.abc import Callable
from typing import ParamSpec

from django_dlq.checkback import CheckBack
from django_dlq.consumer import Consumer
from django_dlq.debezium import expect_relay
from django_dlq.relay import Relay
from django_dlq.retention import Retention
from django_dlq.retries import Retries
from django_dlq.runner import until_idle

try:
    from celery import Task, shared_task
except ImportError as error:
    raise ImportError('The tasks need Celery: pip install "django_dlq[celery]"') from error

SECONDS = 50.0
"""How long a task goes on while there is more to do, so that a worker's other tasks have their turn."""

PATIENCE = 10.0
"""How long a consumer waits for a message: joining the group alone takes some seconds."""

Parameters = ParamSpec("Parameters")


def task(function: Callable[Parameters, int]) -> Task[Parameters, int]:
    """Make a function a task of whichever Celery app the project has."""
    return shared_task(
        # Nobody reads it; the worker's log has what was done.
        ignore_result=True,
        acks_late=False,
        # What waited longer than this for a worker has been overtaken by the next one.
        expires=60,
        # For a machine that hangs. Far beyond SECONDS, so that a slow handler comes to its end.
        time_limit=600,
    )(function)


@task
def relay() -> int:
    """Send the outbox; return how many messages left it. Raises RelayIsOff where Debezium is in its place."""
    expect_relay()
    return until_idle(Relay(), limit=SECONDS)


@task
def consume(group: str) -> int:
    """Hand the messages of a group to its handlers; return how many were settled."""
    return until_idle(Consumer(group), patience=PATIENCE, limit=SECONDS)


@task
def retry() -> int:
    """Make the attempts that are due; return how many were made."""
    return until_idle(Retries(), limit=SECONDS)


@task
def checkback() -> int:
    """Ask about half messages that are due; return about how many."""
    return until_idle(CheckBack(), limit=SECONDS)


@task
def prune() -> int:
    """Delete what has been kept long enough; return how many rows went."""
    return until_idle(Retention(), limit=SECONDS)
