"""Count what happened in the last minute, however much that was: of a lot, only the last seconds are read."""

from collections.abc import Callable
from typing import Any, Final

WINDOWS: Final = (60, 10, 1)
"""Seconds, the last of which are looked at. In the shortest everything is read: no more than was just written."""

MOST_READ: Final = 20_000
"""Rows of a window that are read; where there are more, the next shorter window is."""

COUNT: Final = 2
Rows = list[tuple[Any, ...]]
"""What was counted: two names, the count, and what else was read."""


def lately(read: Callable[[int, int | None], Rows | None]) -> tuple[int, Rows] | None:
    """Return the longest window that can be read, and its rows; None if the database gives up all of them.

    read: takes the seconds, and how many rows to read at most, if not all; returns None if it takes too long.
    """
    for seconds in WINDOWS:
        most = None if seconds == WINDOWS[-1] else MOST_READ
        rows = read(seconds, most and most + 1)
        if rows is not None and (most is None or sum(row[COUNT] for row in rows) <= most):
            return seconds, rows
    return None
