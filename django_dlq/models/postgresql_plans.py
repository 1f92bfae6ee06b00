"""Let the server keep the plan of a statement that every message needs, on connections where it may.

To parse and to plan an INSERT of one row is much of what it costs PostgreSQL. A prepared statement belongs to one
process of the server, which behind a pooler may be another for each transaction; that is why Django prepares none. So
it is done only where the process that answers is the one that the connection was made to: a pooler gives its
clients numbers of its own, since it has to know who wants to cancel what.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

TIMES: Final = 5
"""A connection's uses of a statement before it is prepared, as for psycopg: most connections do not live so long."""

_numbers = count(1)


class Plans:
    """What the server has prepared for one connection. Whoever uses it has the driver's lock."""

    def __init__(self) -> None:
        self._uses = Counter[str]()
        self._names: dict[str, bytes] = {}
        self._is_direct: bool | None = None
        self._new: tuple[str, bytes] | None = None

    def statements(self, sql: str, literals: Sequence[bytes]) -> list[bytes]:
        """Return what to send; the last is the statement, or what has it carried out."""
        self._new = None
        if sql in self._names:
            return [_execute(self._names[sql], literals)]
        plain = sql.encode() % tuple(literals)
        self._uses[sql] += 1
        if self._uses[sql] >= TIMES and self._is_direct is None:
            return [b"SELECT pg_backend_pid()", plain]
        if self._uses[sql] <= TIMES or not self._is_direct:
            return [plain]
        # A name of its own for each attempt: it may have been carried out though nobody has heard of it.
        name = b"dlq_%d" % next(_numbers)
        self._new = sql, name
        numbered = sql.encode() % tuple(b"$%d" % number for number, _ in enumerate(literals, 1))
        return [b"PREPARE %s AS %s" % (name, numbered), _execute(name, literals)]

    def is_direct(self, driver: Any) -> bool:
        """Tell whether the connection is to the server itself; where it is not known yet, ask."""
        if self._is_direct is None:
            (process,) = driver.execute("SELECT pg_backend_pid()").fetchone()
            self._is_direct = process == driver.pgconn.backend_pid
        return self._is_direct

    def hear(self, first: Any, *, process: int) -> None:
        """Hear the answer to the first of two statements, and of which process libpq believes that it comes."""
        if self._new is not None:
            sql, self._names[sql] = self._new
        else:
            self._is_direct = int(first.get_value(0, 0)) == process

    def forget(self) -> None:
        """Prepare all anew: the server has dropped it, or what it returns has changed."""
        self._names.clear()


_known: "WeakKeyDictionary[Any, Plans]" = WeakKeyDictionary()


def plans_of(driver: Any) -> Plans:
    """Return what is known of a driver's connection."""
    plans = _known.get(driver)
    if plans is None:
        plans = _known[driver] = Plans()
    return plans


def _execute(name: bytes, literals: Sequence[bytes]) -> bytes:
    return b"EXECUTE %s (%s)" % (name, b", ".join(literals))
