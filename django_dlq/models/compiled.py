"""Statements about the outbox that are compiled once, for they are said again and again.

An idle relay looks a hundred times a second, and the ORM takes longer to say such a statement than the database to
answer it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from django.db import connections
from django.db.models import QuerySet

from django_dlq.models.outgoing import Outgoing, quickly
from django_dlq.models.postgresql_reading import Between, Row, can_read

AFTER: Final = -7_203_957_106_849
UNTIL: Final = -7_203_957_106_851
"""Stand in a compiled statement for the ids between which to read."""


class Compiled:
    """Several queries of the same columns as one statement; keep_plan is what it is for `Between`."""

    def __init__(self, parts: Sequence["QuerySet[Any, Any]"], *, using: str, keep_plan: bool = False) -> None:
        self.using = using
        compilers = [part.query.get_compiler(using=using) for part in parts]
        compiled = [compiler.as_sql() for compiler in compilers]
        # As derived tables, since SQLite takes no LIMIT inside a UNION.
        self._sql = " UNION ALL ".join(f"SELECT * FROM ({sql}) part_{n}" for n, (sql, _) in enumerate(compiled))  # noqa: S608
        parameters = [parameter for _, its_own in compiled for parameter in its_own]
        self._between = Between(self._sql, parameters, (AFTER, UNTIL), keep_plan=keep_plan)
        self._first = compilers[0]

    def run(self, after: int, until: int) -> list[Outgoing]:
        """Return the rows, those of the first part in the order of their ids."""
        if can_read(connections[self.using]):
            return self._read(after, until, quickly)
        return list(map(Outgoing.of, self._first.results_iter([self._fetch(after, until)])))

    def rows(self, after: int, until: int) -> Sequence[Sequence[Any]]:
        """Return them as the driver does."""
        return self._read(after, until, tuple) if can_read(connections[self.using]) else self._fetch(after, until)

    def _read(self, after: int, until: int, make: Callable[[Sequence[Any]], Row]) -> list[Row]:
        return self._between.read(connections[self.using], (after, until), make)

    def _fetch(self, after: int, until: int) -> Sequence[Sequence[Any]]:
        with connections[self.using].cursor() as cursor:
            cursor.execute(self._sql, self._between.parameters((after, until)))
            return cast("Sequence[Sequence[Any]]", cursor.fetchall())
