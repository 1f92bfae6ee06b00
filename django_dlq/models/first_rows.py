"""Read the first rows of a long table in the order of an index, whatever the database believes about the table."""

from typing import Any, TypeVar

from django.db import connections
from django.db.models import QuerySet

Row = TypeVar("Row")


def first_rows(rows: "QuerySet[Any, Row]", most: int) -> list[Row]:
    """Return up to so many rows of a `values_list`, which must be in an order that an index has.

    Not promised: `flat` and `named`; each row is a tuple.
    """
    using = rows.db
    compiler = rows.query.get_compiler(using=using)
    sql, parameters = compiler.as_sql()
    with connections[using].cursor() as cursor:
        cursor.execute(limited(sql, most, using=using), parameters)
        return list(compiler.results_iter([cursor.fetchall()], tuple_expected=True))


def limited(sql: str, most: int, *, using: str) -> str:
    """Return a statement for the first rows of a SELECT with an ORDER BY that an index serves.

    Where PostgreSQL has no statistics of a table, or old ones, it may think that there are fewer rows than the limit:
    then it reads the whole table and sorts it. With a limit that it does not know when it makes its plan it expects to
    take a tenth of the rows, however many there are, and for that an index is always cheaper. The second limit says how
    many it will be, since a statement that looks long is compiled first, which takes longer than reading a page.
    """
    if connections[using].vendor == "postgresql":
        return f"SELECT * FROM ({sql} LIMIT (SELECT {most:d})) first_rows LIMIT {most:d}"  # noqa: S608
    return f"{sql} LIMIT {most:d}"
