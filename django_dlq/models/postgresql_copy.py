"""COPY, the fastest way into a table of PostgreSQL; it needs psycopg 3.

Binary, so that a body is sent as it is instead of as text of twice its length.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeAlias

from django.db import connections, models

from django_dlq.header_json import pack
from django_dlq.message import Headers
from django_dlq.models.fields import HeadersField

Field: TypeAlias = "models.Field[Any, Any]"

NO_HEADERS = b"\x01[]"

FEWEST = 5
"""Fewer rows are there sooner with one INSERT: COPY takes two journeys to the server more."""


def can_copy(cursor: Any, count: int) -> bool:
    """Tell whether to copy so many rows; psycopg2 has no COPY of this kind."""
    return count >= FEWEST and hasattr(cursor, "copy")


def copied(field: Field, values: Sequence[Any]) -> Sequence[Any]:
    """Return a column's values as COPY takes them."""
    return [_json(value) for value in values] if isinstance(field, HeadersField) else values


def _json(headers: Headers) -> bytes:
    # The first byte is the version of jsonb's binary form.
    return b"\x01" + json.dumps(pack(headers)).encode() if headers else NO_HEADERS


def copy(
    cursor: Any, model: type[models.Model], columns: Sequence[tuple[Field, Sequence[Any]]], *, using: str
) -> list[int]:
    """Insert rows, given as columns of values as COPY takes them; return their ids, which are drawn first."""
    table = connections[using].ops.quote_name(model._meta.db_table)
    cursor.execute(DRAW_IDS, [table, len(columns[0][1])])
    ids = [key for (key,) in cursor.fetchall()]
    statement, types = _statement(model, tuple(field for field, _ in columns), using)
    with connections[using].wrap_database_errors, cursor.copy(statement) as copying:
        copying.set_types(types)
        for row in zip(ids, *(values for _, values in columns), strict=True):
            copying.write_row(row)
    return ids


# The sequence is looked up once, not once per row.
DRAW_IDS = "SELECT nextval((SELECT pg_get_serial_sequence(%s, 'id')::regclass)) FROM generate_series(1, %s)"


@cache
def _statement(model: type[models.Model], fields: Sequence[Field], using: str) -> tuple[str, list[str]]:
    quote = connections[using].ops.quote_name
    names = ", ".join(quote(field.attname) for field in fields)
    types = [_type(field, using) for field in fields]
    return f"COPY {quote(model._meta.db_table)} (id, {names}) FROM STDIN (FORMAT BINARY)", ["bigint", *types]


def _type(field: Field, using: str) -> str:
    # What the driver shall write; it knows nothing cheaper for JSON than bytes, which go as they are.
    return "bytea" if isinstance(field, HeadersField) else (field.db_type(connections[using]) or "").partition("(")[0]
