"""The statements that every message costs, written by hand for PostgreSQL. Elsewhere the ORM says the same.

None of our columns has another name than its attribute.
"""

from collections.abc import Sequence
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias

from django.db import connections, models

from django_dlq.models.fields import HeadersField

Field: TypeAlias = "models.Field[Any, Any]"  # not subscriptable at run time
Model: TypeAlias = type[models.Model]
Place = tuple[int, int | None, int | None]
"""The id of a row, and the partition and offset where the broker has it."""


def insert(model: Model, rows: Sequence[models.Model], *, using: str, without: frozenset[str]) -> list[int]:
    """Insert rows with one statement, leaving out some columns; return their ids, in the order of the rows.

    Many rows travel as one array for each column: a placeholder for each value would cost more than the inserting.
    """
    fields = _fields(model, without)
    values = [_values(field, rows) for field in fields]
    if len(rows) == 1:
        values = [value for (value,) in values]
    with connections[using].cursor() as cursor:
        cursor.execute(_insert(model, using, without, len(rows) > 1), values)
        return [key for (key,) in cursor.fetchall()]


def move(source: Model, target: Model, places: Sequence[Place], *, using: str) -> None:
    """Move rows to the history with one statement, so that no body travels."""
    ids, partitions, offsets = zip(*places, strict=True)
    with connections[using].cursor() as cursor:
        cursor.execute(_move(source, target, using), [list(ids), list(partitions), list(offsets)])


@cache
def _insert(model: Model, using: str, without: frozenset[str], many: bool) -> str:  # noqa: FBT001  # cache wants it
    quote, fields = connections[using].ops.quote_name, _fields(model, without)
    columns = ", ".join(quote(field.attname) for field in fields)
    placeholders = ", ".join(f"%s::{_type(field, using)}[]" if many else "%s" for field in fields)
    source = f"SELECT * FROM unnest({placeholders})" if many else f"VALUES ({placeholders})"  # noqa: S608
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) {source} RETURNING id"


@cache
def _move(source: Model, target: Model, using: str) -> str:
    quote = connections[using].ops.quote_name
    shared = {field.attname for field in source._meta.concrete_fields if not field.primary_key}
    columns = ", ".join(quote(field.attname) for field in target._meta.concrete_fields if field.attname in shared)
    return f"""
        WITH receipt (id, "partition", "offset") AS (SELECT * FROM unnest(%s::bigint[], %s::integer[], %s::bigint[])),
        moved AS (
            DELETE FROM {quote(source._meta.db_table)} AS message USING receipt WHERE message.id = receipt.id
            RETURNING message.*, receipt."partition", receipt."offset"
        )
        INSERT INTO {quote(target._meta.db_table)} (outbox_id, "partition", "offset", {columns})
        SELECT id, "partition", "offset", {columns} FROM moved ORDER BY id"""  # noqa: S608


@cache
def _fields(model: Model, without: frozenset[str]) -> list[Field]:
    return [field for field in model._meta.concrete_fields if not field.primary_key and field.name not in without]


def _type(field: Field, using: str) -> str:
    # Without its length: a cast to varchar(5) would cut silently what the column itself refuses.
    return (field.db_type(connections[using]) or "").partition("(")[0]


def _values(field: Field, rows: Sequence[models.Model]) -> list[Any]:
    if isinstance(field, HeadersField):
        return [field.value_to_string(row) for row in rows]
    return list(map(attrgetter(field.attname), rows))
