"""PostgreSQL's replication slots: who reads the log, and how far."""

from collections.abc import Mapping

from django.db import connections
from django.db.models import Func, IntegerField, Q
from django.db.models.lookups import GreaterThan

# A lost slot's reader has missed something, and begins anew with what is in the table. A slot's catalog_xmin follows
# what its reader has confirmed: all transactions before it had ended by then.
IN_ORDER = """
SELECT slot_name, age(catalog_xmin) FROM pg_replication_slots
WHERE slot_type = 'logical' AND database = current_database() AND wal_status IS DISTINCT FROM 'lost'
"""


def slots_in_order(using: str) -> Mapping[str, int]:
    """Return this database's logical slots that have missed nothing, each with how far back lies what is read.

    The number is an age for `is_read`, and holds until the end of the transaction. Other databases have no slots.
    """
    if connections[using].vendor != "postgresql":
        return {}
    with connections[using].cursor() as cursor:
        cursor.execute(IN_ORDER)
        return dict(cursor.fetchall())


def is_read(age: int) -> Q:
    """Return the condition that a row was written by a transaction which a slot's reader has confirmed."""
    return Q(GreaterThan(Func(template="age(xmin)", output_field=IntegerField()), age))
