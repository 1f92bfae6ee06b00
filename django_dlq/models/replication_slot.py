"""PostgreSQL's replication slots: who reads the log, and keeps it until it has been read."""

from django.db import connections

# A lost slot's reader has missed something, and begins anew with what is in the table.
IN_ORDER = """
SELECT slot_name FROM pg_replication_slots
WHERE slot_type = 'logical' AND database = current_database() AND wal_status IS DISTINCT FROM 'lost'
"""


def slots_in_order(using: str) -> set[str]:
    """Return the names of this database's logical slots that have missed nothing; no other database has any."""
    if connections[using].vendor != "postgresql":
        return set()
    with connections[using].cursor() as cursor:
        cursor.execute(IN_ORDER)
        return {name for (name,) in cursor.fetchall()}
