"""Which letters are due for a retry, and which handlers they are for."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import reduce
from operator import or_

from django.db import connections
from django.db.models import Q, QuerySet

from django_dlq.models import DeadLetter, in_future
from django_dlq.registry import Handler, handlers

ORPHANED_AFTER = timedelta(days=1)
"""How long a letter that no handler here takes is left to processes that have one: those of a newer release, say."""


def due_here(group: str | None, *, stopped: Collection[str] = ()) -> QuerySet[DeadLetter]:
    """Return what is due, of one group or of all that are not stopped, and is for a handler of this process."""
    due = DeadLetter.objects.due() if group is None else DeadLetter.objects.due().of_group(group)
    if group is None and stopped:
        due = due.exclude(group__in=stopped)
    # After that time it is tried here, and so becomes dead.
    is_orphan = Q(next_attempt_at__lte=in_future(-ORPHANED_AFTER))
    return due.filter(reduce(or_, map(taken_by, handlers.handlers), is_orphan))


def failed_on(some: Sequence[Handler]) -> Q:
    """Return the condition of what these handlers have failed on, or of what waits for the same as they."""
    waiting = Q(dependency__in={handler.depends_on for handler in some})
    return reduce(or_, (Q(group=handler.group, handler=handler.name[:255]) for handler in some), waiting)


def taken_by(handler: Handler) -> Q:
    """Return the condition of what a handler takes."""
    tags = Q(tag__in=handler.tags) if handler.tags else Q()
    return Q(group=handler.group, topic__in=handler.topics) & tags


def lock_first(letters: QuerySet[DeadLetter]) -> DeadLetter | None:
    """Lock the first of these that nobody else has locked, until the end of the transaction."""
    return letters.select_for_update(skip_locked=can_skip(letters.db)).first()


def can_skip(using: str) -> bool:
    """Tell whether the database can pass over rows that others have locked."""
    return connections[using].features.has_select_for_update_skip_locked
