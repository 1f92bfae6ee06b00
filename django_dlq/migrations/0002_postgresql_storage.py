"""Tell PostgreSQL how the tables live: docs/explanation/databases.md says why. Other databases need nothing."""

from collections.abc import Mapping

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

# Every row comes and goes within seconds, so what is dead must go by its number, not by its share, and at once.
QUEUE = {
    "autovacuum_vacuum_scale_factor": "0",
    "autovacuum_vacuum_threshold": "2000",
    "autovacuum_vacuum_insert_scale_factor": "0",
    "autovacuum_vacuum_insert_threshold": "10000",
    "autovacuum_vacuum_cost_delay": "0",
}
# A few rows that are updated every second: with free space on the page an update touches no index.
HEARTBEAT = {"fillfactor": "50", "autovacuum_vacuum_scale_factor": "0", "autovacuum_vacuum_threshold": "200"}
# Filled at one end and pruned at the other: a fifth of a long table, the usual share, would be much.
ARCHIVE = {"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_vacuum_insert_scale_factor": "0.05"}

TABLES: Mapping[str, Mapping[str, str]] = {
    "OutboxMessage": QUEUE,
    "RelayLane": HEARTBEAT,
    "RelayProcess": HEARTBEAT,
    "PublishedMessage": ARCHIVE,
    "InboxMessage": ARCHIVE,
}


def tell(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Set each table's storage parameters."""
    for table, wanted in _tables(apps, schema_editor):
        schema_editor.execute(f"ALTER TABLE {table} SET ({', '.join(f'{name} = {wanted[name]}' for name in wanted)})")


def take_back(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Let the server's own settings hold again."""
    for table, wanted in _tables(apps, schema_editor):
        schema_editor.execute(f"ALTER TABLE {table} RESET ({', '.join(wanted)})")


def _tables(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> list[tuple[str, Mapping[str, str]]]:
    if schema_editor.connection.vendor != "postgresql":
        return []
    quote = schema_editor.quote_name
    return [(quote(apps.get_model("django_dlq", name)._meta.db_table), wanted) for name, wanted in TABLES.items()]


class Migration(migrations.Migration):
    dependencies = [("django_dlq", "0001_initial")]

    operations = [migrations.RunPython(tell, take_back, elidable=False)]
