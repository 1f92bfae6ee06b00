"""What transactions do to each other, which is no message's fault: deadlocks, and locks that take too long."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, connections

T = TypeVar("T")

MOST_TIMES = 4
FIRST_REST = 0.05
"""Seconds, twice as many each time: so those who met do not meet again."""

STATES = frozenset({"40001", "40P01", "55P03"})
"""PostgreSQL's serialization_failure, deadlock_detected and lock_not_available."""

NUMBERS = frozenset({1020, 1205, 1213})
"""MySQL's and MariaDB's ER_CHECKREAD, ER_LOCK_WAIT_TIMEOUT and ER_LOCK_DEADLOCK."""

SQLITE_BUSY = 5


def is_contention(error: BaseException) -> bool:
    """Tell whether a statement failed only since another transaction was in its way: alone it would have succeeded."""
    if not isinstance(error, DatabaseError):
        return False
    cause = error.__cause__
    state, busy = getattr(cause, "sqlstate", None), getattr(cause, "sqlite_errorcode", 0)
    number = error.args[0] if error.args else None
    return state in STATES or number in NUMBERS or busy & 0xFF == SQLITE_BUSY


def over_contention(handle: Callable[[], T], *, using: str) -> T:
    """Handle, and a few times more while that meets other transactions; the last time it is what it is.

    Once only within a transaction, of which nobody knows what is left.
    """
    for number in range(1, MOST_TIMES):
        try:
            return handle()
        except DatabaseError as error:
            if not is_contention(error) or connections[using].in_atomic_block:
                raise
        time.sleep(FIRST_REST * 2 ** (number - 1) * random.uniform(0.5, 1))  # noqa: S311  # spreads those who met
    return handle()
