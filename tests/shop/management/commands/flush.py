"""Empty the tables between tests.

Django's own `flush` truncates every table and makes the content types and permissions anew, which takes PostgreSQL
most of a second after each test with transactions of its own, and a run has hundreds of them.
"""

from typing import Any

from django.core.management.color import no_style
from django.core.management.commands.flush import Command as DjangoFlush
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

MADE_BY_MIGRATE = {"django_content_type", "auth_permission"}
# Dead rows would remain of so many, and later tests look at plans and sizes.
MANY_BYTES = 1 << 20


class Command(DjangoFlush):
    """Delete all rows but those that `migrate` writes after each run."""

    def handle(self, *, database: str, **options: Any) -> None:
        """Look for the tables that have rows, and empty these."""
        connection = connections[database]
        filled = filled_tables(connection)
        large = [table for table in filled if bytes_of(connection, table) > MANY_BYTES]
        with connection.constraint_checks_disabled(), transaction.atomic(using=database), connection.cursor() as cursor:
            for table in set(filled).difference(large):
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")
            for statement in connection.ops.sql_flush(no_style(), large, allow_cascade=True):
                cursor.execute(statement)


def filled_tables(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the tables of models that have a row, found with one statement."""
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False))
    quote = connection.ops.quote_name
    looks = [
        f"SELECT '{table}' FROM (SELECT 1) one WHERE EXISTS (SELECT 1 FROM {quote(table)})"
        for table in sorted(tables - MADE_BY_MIGRATE)
    ]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        return [table for (table,) in cursor.fetchall()]


def bytes_of(connection: BaseDatabaseWrapper, table: str) -> int:
    """Return a table's size, dead rows included; 0 where deleting leaves none behind."""
    if connection.vendor != "postgresql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size(%s::regclass)", [connection.ops.quote_name(table)])
        size: int = cursor.fetchone()[0]
        return size
