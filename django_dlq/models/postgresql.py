"""The statements that every message costs, written by hand for PostgreSQL. Elsewhere the ORM says the same.

None of our columns has another name than its attribute.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

from django.apps import apps
from django.db import connections, models

from django_dlq.models.fields import value_of
from django_dlq.models.postgresql_copy import can_copy, copied, copy
from django_dlq.models.postgresql_direct import execute_directly

Field: TypeAlias = "models.Field[Any, Any]"  # not subscriptable at run time
Model: TypeAlias = type[models.Model]
Place = tuple[int, int | None, int | None]
"""The id of a row, and the partition and offset where the broker has it."""


class Fence(NamedTuple):
    """Who completes, and of which lanes it believes to hold which epochs."""

    owner: str
    lanes: Sequence[int]
    epochs: Sequence[int]

    @property
    def held(self) -> dict[int, int]:
        """The lanes, each with its epoch."""
        return dict(zip(self.lanes, self.epochs, strict=True))


def insert(model: Model, rows: Sequence[models.Model], *, using: str, without: frozenset[str]) -> list[int]:
    """Insert rows, leaving out some columns; return their ids, in the order of the rows.

    Many rows are copied; where that is not possible, they travel as one array for each column: a placeholder for each
    value would cost more than the inserting.
    """
    fields = _fields(model, without)
    if len(rows) == 1:
        statement, values = _insert(model, using, without, many=False), [value_of(field, rows[0]) for field in fields]
        return list(map(int, execute_directly(connections[using], statement, values, keep_plan=True).first))
    with connections[using].cursor() as cursor:
        if can_copy(cursor, len(rows)):
            columns = [(field, copied(field, list(map(attrgetter(field.attname), rows)))) for field in fields]
            return copy(cursor, model, columns, using=using)
        parameters: list[Any] = [_column(field, rows) for field in fields]
        cursor.execute(_insert(model, using, without, many=True), parameters)
        return [key for (key,) in cursor.fetchall()]


def move(source: Model, target: Model, places: Sequence[Place], *, using: str, fence: Fence | None = None) -> int:
    """Move rows to the history with one statement, so that no body travels; return how many were moved.

    With a fence only rows of lanes that are still held in these epochs, and so they stay until the transaction ends.
    """
    ids, partitions, offsets = zip(*sorted(places), strict=True) if places else ((), (), ())
    chosen, span = _choice(ids)
    parameters: list[str | int] = [_array(ids), *_held(fence), *span, _array(partitions), _array(offsets)]
    with connections[using].cursor() as cursor:
        cursor.execute(_move(source, target, using, chosen, fence is not None), parameters)
        return int(cursor.rowcount)


def delete(model: Model, ids: Sequence[int], *, using: str, fence: Fence | None = None) -> int:
    """Delete rows with one statement and one parameter: one for each id would cost more than the deleting.

    Return how many were deleted; a fence is what it is for `move`.
    """
    chosen, span = _choice(ids)
    parameters: list[str | int] = [_array(sorted(ids)), *_held(fence), *span]
    with connections[using].cursor() as cursor:
        cursor.execute(_delete(model, using, chosen, fence is not None), parameters)
        return int(cursor.rowcount)


@cache
def _insert(model: Model, using: str, without: frozenset[str], many: bool) -> str:  # noqa: FBT001
    quote, fields = connections[using].ops.quote_name, _fields(model, without)
    columns = ", ".join(quote(field.attname) for field in fields)
    placeholders = ", ".join(f"%s::{_type(field, using)}[]" if many else "%s" for field in fields)
    source = f"SELECT * FROM unnest({placeholders})" if many else f"VALUES ({placeholders})"  # noqa: S608
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) {source} RETURNING id"


@cache
def _move(source: Model, target: Model, using: str, chosen: str, fenced: bool) -> str:  # noqa: FBT001  # cache wants it
    quote = connections[using].ops.quote_name
    shared = {field.attname for field in source._meta.concrete_fields if not field.primary_key}
    columns = ", ".join(quote(field.attname) for field in target._meta.concrete_fields if field.attname in shared)
    table = quote(source._meta.db_table)
    # What is deleted is read once more, where it lay: to hand whole rows from the one to the other would copy each
    # twice. Each looks its place up in the sorted arrays. A join with them would be planned by how many rows the
    # planner expects: behind an outbox that was just empty that is one, and so each row went through all the places.
    return f"""
        WITH {_given(using, fenced)},
        gone AS (DELETE FROM {table} WHERE {_where(chosen, fenced)} RETURNING ctid)
        INSERT INTO {quote(target._meta.db_table)} (outbox_id, "partition", "offset", {columns})
        SELECT id, (%s::integer[])[place], (%s::bigint[])[place], {columns}
        FROM (
            SELECT *, width_bucket(id, {_IDS}) AS place FROM {table}
            WHERE ctid = ANY(ARRAY(SELECT ctid FROM gone)) OFFSET 0) moved
        """  # noqa: S608


@cache
def _delete(model: Model, using: str, chosen: str, fenced: bool) -> str:  # noqa: FBT001
    table = connections[using].ops.quote_name(model._meta.db_table)
    return f"WITH {_given(using, fenced)} DELETE FROM {table} WHERE {_where(chosen, fenced)}"  # noqa: S608


_IDS, _LANES = "(SELECT ids FROM given)", "ARRAY(SELECT lane FROM held)"


def _given(using: str, fenced: bool) -> str:  # noqa: FBT001
    """Return what a statement begins with: the sorted ids, read once, and the lanes that are still held."""
    given = "given AS (SELECT %s::bigint[] AS ids)"
    if not fenced:
        return given
    # FOR SHARE waits for a relay that is just taking a lane over, and makes one wait that would; then it looks again.
    # In the order of lanes, so that two who lock several do not wait for each other.
    table = connections[using].ops.quote_name(apps.get_model("django_dlq.RelayLane")._meta.db_table)
    return f"""{given}, held AS (
        SELECT lane FROM {table}
        WHERE owner = %s AND (lane, epoch) IN (SELECT * FROM unnest(%s::smallint[], %s::bigint[]))
        ORDER BY lane FOR SHARE)"""  # noqa: S608


def _held(fence: Fence | None) -> list[str]:
    return [] if fence is None else [fence.owner, _array(fence.lanes), _array(fence.epochs)]


def _among(column: str, array: str) -> str:
    """Return the condition that a column is in a sorted array; `= ANY` would compare it with one after the other."""
    return f"({array})[width_bucket({column}, {array})] = {column}"


DENSE = 8
"""Ids in a range of up to so many times their number are found by going through the range."""


def _choice(ids: Sequence[int]) -> tuple[str, list[int]]:
    """Return the condition for rows with these ids, and its parameters."""
    if ids and (last := max(ids)) - (first := min(ids)) < DENSE * len(ids):
        # One descent into the index, not one for each id; and PostgreSQL takes a table of up to a few hundred thousand
        # rows for faster to read whole than so many descents.
        return f"id BETWEEN %s AND %s AND {_among('id', _IDS)}", [first, last]
    return f"id = ANY({_IDS}::bigint[])", []


def _where(chosen: str, fenced: bool) -> str:  # noqa: FBT001
    # The lanes as an array, which is made once. A join with them would be planned by the statistics of a table that
    # changes with each relay that comes: with stale ones it looked up every id again for each of the lanes.
    return f"{chosen} AND {_among('lane', _LANES)}" if fenced else chosen


@cache
def _fields(model: Model, without: frozenset[str]) -> list[Field]:
    return [field for field in model._meta.concrete_fields if not field.primary_key and field.name not in without]


def _column(field: Field, rows: Sequence[models.Model]) -> object:
    values = [value_of(field, row) for row in rows]
    if isinstance(field, models.BinaryField):
        return _array(None if value is None else f'"\\\\x{bytes(value).hex()}"' for value in values)
    return values


def _array(items: Iterable[int | str | None]) -> str:
    # The text of an array is written faster here than by the driver, item by item; and a list of nothing but numbers
    # is written as one several times faster still.
    items = list(items)
    if set(map(type, items)) <= {int}:
        return f"{{{str(items)[1:-1]}}}"
    return "{" + ",".join(["NULL" if item is None else str(item) for item in items]) + "}"


def _type(field: Field, using: str) -> str:
    # Without its length: a cast to varchar(5) would cut silently what the column itself refuses.
    return (field.db_type(connections[using]) or "").partition("(")[0]
