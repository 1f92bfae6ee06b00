"""Commit a half message with one statement, on PostgreSQL: the body does not travel a second time."""

from functools import cache
from typing import TYPE_CHECKING

from django.db import connections

from django_dlq.conf import conf
from django_dlq.models.fresh import fresh
from django_dlq.models.outbox_message import OutboxMessage
from django_dlq.models.stored_message import StoredMessage

if TYPE_CHECKING:
    from django_dlq.models.half_message import HalfMessage


def can_commit_at_once(using: str) -> bool:
    """Tell whether nothing else has to be done with a new row of the outbox than to insert it."""
    return connections[using].vendor == "postgresql" and not conf.DLQ_LOCK_KEYS and not conf.DLQ_RELAY_NOTIFY


def commit_at_once(half: "HalfMessage", by: str, actor_name: str, reason: str, *, using: str) -> OutboxMessage | None:
    """Write the decision and the outbox row, both or neither, also outside a transaction.

    Return the row, or None and change nothing where the state does not allow it.
    """
    row = fresh(OutboxMessage, {**half.message_columns(), "priority": half.priority})
    row.choose_lane()
    with connections[using].cursor() as cursor:
        cursor.execute(_statement(type(half)._meta.db_table, using), [by, actor_name, reason, half.pk, row.lane])
        found = cursor.fetchone()
    if found is None:
        return None
    row.pk, row._state.adding, row._state.db = found[0], False, using
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
