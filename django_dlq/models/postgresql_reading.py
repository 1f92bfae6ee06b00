"""Read rows of PostgreSQL in the order of an index, whatever its planner believes, and in its binary format.

The outbox is empty, and then it is not: its statistics are always wrong. Without good ones the planner takes a LIMIT
for most of the table, and a few rows that are due for most of it, and so it read and sorted the whole backlog for each
page. All goes to the server at once, as one transaction, which leaves nothing behind: there may be a pooler between.

To write, to analyse and to plan such a statement takes several times as long as to find that there is nothing, and an
idle relay says it a hundred times a second. So where it may, the server keeps the plan. It is the same wherever is
read: along the indexes.
"""

import re
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

from django.db import NotSupportedError, ProgrammingError
from django.db.backends.base.base import BaseDatabaseWrapper

from django_dlq.conf import conf
from django_dlq.models.postgresql_direct import PLAN_IS_STALE, does_nobody_look
from django_dlq.models.postgresql_plans import TIMES, plans_of

Row = TypeVar("Row")

ALONG_INDEXES: Final = {"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off", "jit": "off"}
"""What the planner must not choose."""

LONGEST_WAIT: Final = timedelta(seconds=5)
"""For a lock: whoever reads has to go on, if only to say that he cannot, and to keep his lanes."""

AS_KEPT: Final = {"plan_cache_mode": "force_generic_plan"}
"""So that a plan that is kept is used, and not compared with others."""

MOST_KEPT: Final = 8
"""Plans that the server keeps for a connection: twice as many as a relay needs at once."""

_UNDO: Final = " ".join(f"SET LOCAL {name} TO DEFAULT;" for name in [*ALONG_INDEXES, "lock_timeout"])


def can_read(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether `Between` can be used: with psycopg 3 and time zones.

    Without USE_TZ only Django's own way of reading text turns moments into those of no time zone.
    """
    return connection.vendor == "postgresql" and connection.timezone is not None and _is_psycopg3(connection)


class Between:
    """A SELECT that is said again and again, each time of what lies between other places. Used by one thread.

    marks: the parameters that stand for the places. keep_plan: whether the server may keep its plan where no pooler is
    between; only on connections that nobody else uses, for psycopg has all that is prepared dropped at each rollback.
    """

    def __init__(self, sql: str, parameters: Sequence[Any], marks: Sequence[int], *, keep_plan: bool = False) -> None:
        self._sql, self._parameters, self._marks = sql, parameters, marks
        self._keep_plan = keep_plan
        self._driver: Any = None
        self._pieces: Sequence[str | int] = ()

    def parameters(self, places: Sequence[Any]) -> list[Any]:
        """Return the parameters of the statement for these places."""
        found = dict(zip(self._marks, places, strict=True))
        return [found.get(each, each) if type(each) is int else each for each in self._parameters]

    def read(
        self, connection: BaseDatabaseWrapper, places: Sequence[int], make: Callable[[Sequence[Any]], Row]
    ) -> list[Row]:
        """Return the rows, each made from its columns. A body comes as bytes, not as hex digits.

        The driver makes them one by one: to make them from a list of tuples takes the memory of all of them twice.
        Raises OperationalError where a lock is waited for too long, for LONGEST_WAIT or a third of a relay's lease.
        """
        if not _may_pipeline(connection):
            return _through_cursor(connection, self._sql, self.parameters(places), make)
        try:
            return self._in_pipeline(connection, places, make)
        except (ProgrammingError, NotSupportedError) as error:
            if not self._keep_plan or getattr(error.__cause__, "sqlstate", None) not in PLAN_IS_STALE:
                raise
        connection.close()  # and with it all that is prepared
        return self._in_pipeline(connection, places, make)

    def _in_pipeline(self, connection: Any, places: Sequence[int], make: Callable[[Sequence[Any]], Row]) -> list[Row]:
        """Send both statements at once, which are one transaction then, and let the server send rows as it finds them.

        Of what is fetched from a cursor it first makes a list, which takes it a quarter of the time that a page needs.
        """
        connection.ensure_connection()
        driver = connection.connection
        with connection.wrap_database_errors:
            keeps = self._keep_plan and _may_keep(driver)
            limits = _limits() | (AS_KEPT if keeps else {})
            settings = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in limits.items())
            statement, values = self._statement(connection, places, numbered=keeps)
            with driver.pipeline():
                driver.execute(f"SELECT {settings}")
                cursor = connection.Database.RawCursor(driver, row_factory=lambda _: make)
                cursor.execute(statement, values, binary=True)
            rows: list[Row] = cursor.fetchall()
            return rows

    def _statement(self, connection: Any, places: Sequence[int], *, numbered: bool) -> tuple[str, list[Any] | None]:
        """Return the statement, in which the places are written, or numbered and given beside it."""
        if self._driver is not connection.connection:
            self._pieces, self._driver = self._cut(connection), connection.connection
        if not numbered:
            return "".join(str(places[each]) if type(each) is int else str(each) for each in self._pieces), None
        values, text = [], ""
        for each in self._pieces:
            if type(each) is int:
                # Always of one type, however small the number, or there would be a plan for each.
                values.append(connection.Database.types.numeric.Int8(places[each]))
            text += f"${len(values)}" if type(each) is int else str(each)
        return text, values

    def _cut(self, connection: Any) -> list[str | int]:
        """Write the other parameters into the statement, once; the server, if it is to do that, plans for any."""
        words = [uuid.uuid4().hex for _ in self._marks]  # which nothing else in it can be
        text = _literal(connection, self._sql, self.parameters(words))
        found = {f"'{word}'": number for number, word in enumerate(words)}
        return [found.get(piece, piece) for piece in re.split(f"({'|'.join(found)})", text)]


def _may_pipeline(connection: Any) -> bool:
    """Tell whether a transaction would end with what is read, and nobody is there to see the statement."""
    is_supported: bool = connection.Database.Pipeline.is_supported()
    return is_supported and connection.get_autocommit() and does_nobody_look(connection)


def _may_keep(driver: Any) -> bool:
    """Tell whether the server may keep plans for this connection, and let psycopg ask it to."""
    if not plans_of(driver).is_direct(driver):
        return False
    if driver.prepare_threshold is None:
        driver.prepare_threshold, driver.prepared_max = TIMES, MOST_KEPT
    return True


def _through_cursor(
    connection: BaseDatabaseWrapper, sql: str, parameters: Sequence[Any], make: Callable[[Sequence[Any]], Row]
) -> list[Row]:
    """Say all of it as one statement, in which only a cursor can be told to answer in binary."""
    limits = " ".join(f"SET LOCAL {name} TO {value};" for name, value in _limits().items())
    statement = f"{limits} DECLARE dlq BINARY CURSOR FOR {sql}; FETCH ALL FROM dlq"
    if not connection.get_autocommit():  # else its end is the end of all this
        statement += f"; CLOSE dlq; {_UNDO}"
    with connection.cursor() as cursor:
        if connection.settings_dict["OPTIONS"].get("server_side_binding"):
            cursor.execute(_literal(connection, statement, parameters))
        else:
            cursor.execute(statement, parameters)
        while cursor.description is None:
            cursor.nextset()
        cursor.cursor.row_factory = lambda _: make
        rows: list[Row] = cursor.fetchall()
        return rows


def _limits() -> dict[str, str]:
    wait = min(LONGEST_WAIT, conf.DLQ_RELAY_LEASE / 3) // timedelta(milliseconds=1)
    return {**ALONG_INDEXES, "lock_timeout": str(wait)}


def _literal(connection: Any, sql: str, parameters: Sequence[Any]) -> str:
    """Put the parameters into a statement; the server takes several statements at once only so."""
    literal: str = connection.Database.ClientCursor(connection.connection).mogrify(sql, parameters)
    return literal


def _is_psycopg3(connection: BaseDatabaseWrapper) -> bool:
    connection.ensure_connection()
    return hasattr(connection.connection, "pgconn")
