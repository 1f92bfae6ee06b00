"""Prepare and commit a half message with one statement each, on PostgreSQL; the body travels once."""

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import connections, models

from django_dlq.conf import conf
from django_dlq.models.fields import value_of
from django_dlq.models.fresh import fresh
from django_dlq.models.outbox_message import OutboxMessage
from django_dlq.models.postgresql_direct import execute_directly
from django_dlq.models.stored_message import StoredMessage

if TYPE_CHECKING:
    from django_dlq.models.half_message import HalfMessage


COMPUTED = frozenset({"prepared_at", "decided_at", "next_check_at"})


def insert_at_once(half: "HalfMessage", check_after: timedelta, *, using: str) -> None:
    """Insert a new half message, and set its id."""
    values = [_written(value_of(field, half)) for field in _fields(type(half))]
    values.append(_written(check_after))
    answer = execute_directly(connections[using], _insert(type(half), using), values, keep_plan=True)
    (half.pk,) = map(int, answer.first)
    half._state.adding, half._state.db = False, using


def can_commit_at_once(using: str) -> bool:
    """Tell whether nothing else has to be done with a new row of the outbox than to insert it."""
    return connections[using].vendor == "postgresql" and not conf.DLQ_LOCK_KEYS and not conf.DLQ_RELAY_NOTIFY


def commit_at_once(half: "HalfMessage", by: str, actor_name: str, reason: str, *, using: str) -> OutboxMessage | None:
    """Write the decision and the outbox row, both or neither, also outside a transaction.

    Return the row, or None and change nothing where the state does not allow it.
    """
    row = fresh(OutboxMessage, {**half.message_columns(), "priority": half.priority})
    row.choose_lane()
    values = [str(by), actor_name, reason, half.pk, row.lane]
    answer = execute_directly(connections[using], _statement(type(half)._meta.db_table, using), values)
    if not answer.first:
        return None
    row.pk, row._state.adding, row._state.db = int(answer.first[0]), False, using
    for name in ("due_at", "expires_at", "created_at"):
        row.__dict__.pop(name, None)  # read on access
    return row


@cache
def _statement(table: str, using: str) -> str:
    quote = connections[using].ops.quote_name
    message = ", ".join(quote(field.attname) for field in StoredMessage._meta.fields)
    return f"""
        WITH decided AS (
            UPDATE {quote(table)} SET state = 'committed', decided_at = STATEMENT_TIMESTAMP(), decided_by = %s,
                actor_name = %s, reason = %s, next_check_at = NULL, owner = ''
            WHERE id = %s AND state IN ('prepared', 'undecided') RETURNING *)
        INSERT INTO {quote(OutboxMessage._meta.db_table)} ({message}, lane, priority, due_at, expires_at, "group")
        SELECT {message}, %s, priority, STATEMENT_TIMESTAMP() + delay, STATEMENT_TIMESTAMP() + expires_in, ''
        FROM decided RETURNING id
        """  # noqa: S608


@cache
def _insert(model: "type[HalfMessage]", using: str) -> str:
    quote, fields = connections[using].ops.quote_name, _fields(model)
    columns = ", ".join(quote(field.attname) for field in fields)
    marks = ", ".join(["%s"] * len(fields))
    return f"""
        INSERT INTO {quote(model._meta.db_table)} ({columns}, next_check_at)
        VALUES ({marks}, STATEMENT_TIMESTAMP() + %s::interval) RETURNING id
        """  # noqa: S608


@cache
def _fields(model: "type[HalfMessage]") -> "list[models.Field[Any, Any]]":
    return [field for field in model._meta.concrete_fields if not field.primary_key and field.name not in COMPUTED]


def _written(value: object) -> Any:
    """Return what is written as a literal: no subclasses of str, and a time span as the text of an interval."""
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)} microseconds"
    return str(value) if isinstance(value, str) else value
