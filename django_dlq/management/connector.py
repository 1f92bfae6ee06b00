"""The configuration of Debezium's connector for the outbox, from the project's settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError
from django.db import connections, router

from django_dlq import debezium
from django_dlq.conf import conf
from django_dlq.models import OutboxMessage

PASSWORD = "${file:/etc/kafka-connect/dlq.properties:password}"  # noqa: S105  # where Connect finds it, not what it is
FIRST_WITH_ROW_FILTERS = 150_000
MURMUR2 = frozenset({"murmur2", "murmur2_random"})

TABLE = """
SELECT quote_ident(n.nspname), quote_ident(c.relname), n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """One connector, which sends the messages of one broker."""

    name: str
    database: Mapping[str, Any]
    broker: str
    schema: str
    table: str
    label: str
    is_alone: bool
    """Whether all messages are this broker's, so that none must be left to another connector."""

    @classmethod
    def of(cls, broker: str) -> "Connector":
        """Look at the settings and the database; raise CommandError where Debezium cannot do the work."""
        _check_broker(broker)
        connection: Any = connections[router.db_for_write(OutboxMessage)]
        if connection.vendor != "postgresql":
            raise CommandError(f"this reads PostgreSQL's log, and the outbox is in {connection.display_name}")
        found = find_outbox(connection)
        if found is None:
            raise CommandError("the database has no outbox yet: manage.py migrate")
        is_alone = len(conf.DLQ_BROKERS) == 1
        if not is_alone and connection.pg_version < FIRST_WITH_ROW_FILTERS:
            raise CommandError("a connector for each of several brokers needs PostgreSQL 15 or newer")
        database = connection.settings_dict
        name = debezium.slot_name(database["NAME"], broker)
        if len(sharing := debezium.brokers_by_slot(database["NAME"])[name]) > 1:
            raise CommandError(f"the slot {name} would be that of several brokers, rename one: {', '.join(sharing)}")
        schema, table, label = found
        return cls(
            name=name, database=database, broker=broker, schema=schema, table=table, label=label, is_alone=is_alone
        )

    def statements(self) -> str:
        """Return the SQL that the connector needs to have been run: a publication of inserts only."""
        where = "" if self.is_alone else f" WHERE (broker = {_literal(self.broker)})"
        return f"CREATE PUBLICATION {self.name} FOR TABLE {self.schema}.{self.table}{where} WITH (publish = 'insert');"

    def configuration(self) -> dict[str, str]:
        """Return the connector's properties."""
        return {**self._connection(), **self._reading(), **self._snapshot(), **ROUTING, **WRITING}

    def warnings(self) -> Iterator[str]:
        """Say what would become different if the connector took the relay's place now."""
        partitioner = conf.DLQ_BROKERS[self.broker]["OPTIONS"].get("partitioner", "murmur2")
        if partitioner not in MURMUR2:
            yield "The broker's option 'partitioner' is not Debezium's: keys will change their partitions."
        if OutboxMessage.objects.filter(due_at__isnull=False).exists():
            yield "Messages of the outbox wait for their time, and would be sent at once; let the relay do it."

    def _connection(self) -> dict[str, str]:
        host = self.database["HOST"] or "localhost"
        properties = {
            "name": self.name,
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "tasks.max": "1",
            # Debezium speaks TCP only.
            "database.hostname": "localhost" if host.startswith("/") else host,
            "database.port": str(self.database["PORT"] or 5432),
            "database.user": self.database["USER"],
            "database.password": PASSWORD,
            "database.dbname": self.database["NAME"],
        }
        if sslmode := self.database.get("OPTIONS", {}).get("sslmode"):
            properties["database.sslmode"] = sslmode
        return properties

    def _reading(self) -> dict[str, str]:
        return {
            "topic.prefix": self.name,
            "plugin.name": "pgoutput",
            "slot.name": self.name,
            "publication.name": self.name,
            "publication.autocreate.mode": "disabled",
            "table.include.list": self.label,
            "skipped.operations": "u,d,t",
            "tombstones.on.delete": "false",
            # Headers about the connector itself, which say nothing to a handler.
            "extended.headers.enabled": "false",
            "poll.interval.ms": f"{conf.DLQ_POLL_INTERVAL.total_seconds() * 1000:.0f}",
            # An idle outbox would else hold the log that the project's other tables fill: a sign of life passes it on.
            "heartbeat.interval.ms": "10000",
            "heartbeat.action.query": f"SELECT pg_logical_emit_message(false, '{self.name}', '')",
            "message.prefix.exclude.list": ".*",
        }

    def _snapshot(self) -> dict[str, str]:
        where = "" if self.is_alone else f" WHERE broker = {_literal(self.broker)}"
        statement = f"SELECT * FROM {self.schema}.{self.table}{where} ORDER BY id"  # noqa: S608  # Debezium runs it
        return {
            "snapshot.mode": "when_needed",
            "snapshot.select.statement.overrides": self.label,
            f"snapshot.select.statement.overrides.{self.label}": statement,
        }


PLACEMENT = ",".join(f"{column}:header:{header}" for column, header in debezium.PLACEMENT.items())
ROUTING = {
    "transforms": "outbox",
    "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
    "transforms.outbox.table.field.event.id": "message_id",
    "transforms.outbox.table.field.event.key": "key",
    "transforms.outbox.table.field.event.payload": "body",
    "transforms.outbox.table.fields.additional.placement": PLACEMENT,
    "transforms.outbox.route.by.field": "topic",
    "transforms.outbox.route.topic.replacement": "${routedByValue}",
    "transforms.outbox.route.tombstone.on.empty.payload": "false",
}
WRITING = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "io.debezium.converters.BinaryDataConverter",
    # For the heartbeat, which is no message of ours.
    "value.converter.delegate.converter.type": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.delegate.converter.type.schemas.enable": "false",
    "header.converter": "org.apache.kafka.connect.storage.SimpleHeaderConverter",
    "errors.tolerance": "none",
}


def find_outbox(connection: Any) -> tuple[str, str, str] | None:
    """Return schema and table of the outbox, as SQL and then as Debezium write them."""
    with connection.cursor() as cursor:
        cursor.execute(TABLE, [connection.ops.quote_name(OutboxMessage._meta.db_table)])
        found: tuple[str, str, str] | None = cursor.fetchone()
    return found


def _check_broker(broker: str) -> None:
    if broker not in conf.DLQ_BROKERS:
        raise CommandError(f"DLQ_BROKERS has no broker {broker!r}; it has: {', '.join(sorted(conf.DLQ_BROKERS))}")
    if "bootstrap.servers" not in conf.DLQ_BROKERS[broker].get("OPTIONS", {}):
        raise CommandError(f"the broker {broker!r} is not Kafka, the only one that Kafka Connect sends to")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
