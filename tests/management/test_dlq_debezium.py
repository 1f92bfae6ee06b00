"""manage.py dlq_debezium."""

import io
import json
import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from django_dlq.debezium import slot_name
from django_dlq.management import connector
from django_dlq.management.connector import Connector
from django_dlq.models import OutboxMessage, in_future
from tests.slots import SHARING

pytestmark = pytest.mark.django_db

KAFKA = {"BACKEND": "django_dlq.brokers.kafka.KafkaBroker", "OPTIONS": {"bootstrap.servers": "kafka:9092"}}


@pytest.fixture
def prints(monkeypatch, settings):
    """Run the command on a database that looks like PostgreSQL, whichever it is; scenarios run it on the real one."""
    settings.DLQ_BROKERS = {"default": KAFKA}
    found = ("public", "django_dlq_outboxmessage", "public.django_dlq_outboxmessage")
    monkeypatch.setattr(connector, "find_outbox", lambda connection: found)
    database = {"NAME": "shop", "USER": "app", "HOST": "db", "PORT": 6432, "PASSWORD": "hunter2", "OPTIONS": {}}
    postgresql = SimpleNamespace(vendor="postgresql", pg_version=150_000, settings_dict=database)
    monkeypatch.setattr(connector, "connections", {"default": postgresql})

    def run(*arguments):
        out, err = io.StringIO(), io.StringIO()
        call_command("dlq_debezium", *arguments, stdout=out, stderr=err)
        run.errors = err.getvalue()
        return out.getvalue()

    run.postgresql, run.database = postgresql, database
    return run


def properties(text):
    """Read such a file as Java does."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: value.encode().decode("unicode_escape") for name, _, value in (line.partition("=") for line in lines)}


def test_both_formats_say_the_same(prints):
    rest = json.loads(prints("--format", "json"))

    assert properties(prints()) == {"name": rest["name"], **rest["config"]}


def test_the_connector_reads_what_the_settings_say(prints):
    prints.database |= {"NAME": "schöp", "OPTIONS": {"sslmode": "require"}}
    text = prints()
    found = properties(text)

    assert found["database.hostname"] == "db"
    assert found["database.port"] == "6432"
    assert found["database.user"] == "app"
    assert found["database.dbname"] == "schöp"
    assert found["database.sslmode"] == "require"
    assert found["slot.name"] == found["publication.name"] == found["name"] == slot_name("schöp", "default")
    assert found["table.include.list"] == "public.django_dlq_outboxmessage"
    assert text.isascii()


@pytest.mark.parametrize("form", ["properties", "json", "sql"])
def test_the_password_is_never_printed(prints, form):
    assert "hunter2" not in prints("--format", form)


@pytest.mark.parametrize("host", ["", "/var/run/postgresql"])
def test_a_socket_becomes_an_address_since_debezium_speaks_tcp_only(prints, host):
    prints.database |= {"HOST": host, "PORT": ""}
    found = properties(prints())

    assert (found["database.hostname"], found["database.port"]) == ("localhost", "5432")
    assert "database.sslmode" not in found


def test_only_inserts_are_published(prints):
    assert prints("--format", "sql").strip() == (
        "CREATE PUBLICATION dlq_shop FOR TABLE public.django_dlq_outboxmessage WITH (publish = 'insert');"
    )
    assert "CREATE PUBLICATION dlq_shop FOR TABLE" in prints()


def test_of_several_brokers_each_has_a_connector_of_its_own(prints, settings):
    settings.DLQ_BROKERS = {"default": KAFKA, "o'east": KAFKA}
    found = properties(prints("--broker", "o'east"))

    assert found["slot.name"] == slot_name("shop", "o'east")
    assert found["snapshot.select.statement.overrides.public.django_dlq_outboxmessage"] == (
        "SELECT * FROM public.django_dlq_outboxmessage WHERE broker = 'o''east' ORDER BY id"
    )
    assert "WHERE (broker = 'default') WITH" in prints("--format", "sql")


def test_several_brokers_need_a_postgresql_that_publishes_some_rows_only(prints, settings):
    settings.DLQ_BROKERS = {"default": KAFKA, "east": KAFKA}
    prints.postgresql.pg_version = 140_000

    with pytest.raises(CommandError, match="needs PostgreSQL 15"):
        prints()


def test_a_broker_that_is_not_there_is_a_mistake_that_names_those_that_are(prints):
    with pytest.raises(CommandError, match="no broker 'east'; it has: default"):
        prints("--broker", "east")


def test_brokers_that_would_share_a_slot_are_refused(prints, settings):
    settings.DLQ_BROKERS = {"default": KAFKA, **dict.fromkeys(SHARING, KAFKA)}
    prints()

    with pytest.raises(CommandError, match="of several brokers, rename one: " + ", ".join(map(re.escape, SHARING))):
        prints("--broker", SHARING[1])


def test_a_broker_that_is_not_kafka_is_refused(prints, settings):
    settings.DLQ_BROKERS = {"default": {"BACKEND": "django_dlq.brokers.memory.MemoryBroker"}}

    with pytest.raises(CommandError, match="not Kafka"):
        prints()


def test_without_migrations_there_is_nothing_to_read(prints, monkeypatch):
    monkeypatch.setattr(connector, "find_outbox", lambda connection: None)

    with pytest.raises(CommandError, match=r"manage\.py migrate"):
        prints()


@pytest.mark.parametrize(("partitioner", "warned"), [("murmur2_random", False), ("consistent_random", True)])
def test_keys_that_would_change_their_partition_are_warned_of(prints, settings, partitioner, warned):
    settings.DLQ_BROKERS = {"default": {**KAFKA, "OPTIONS": {**KAFKA["OPTIONS"], "partitioner": partitioner}}}
    prints()

    assert ("partitioner" in prints.errors) is warned


def test_messages_that_wait_for_their_time_are_warned_of(prints):
    prints()
    assert prints.errors == ""
    OutboxMessage.objects.create(topic="orders", due_at=in_future(timedelta(hours=1)))
    prints()

    assert "would be sent at once" in prints.errors


def test_the_real_table_is_found_and_without_postgresql_there_is_no_way(settings):
    settings.DLQ_BROKERS = {"default": KAFKA}
    if connection.vendor != "postgresql":
        with pytest.raises(CommandError, match=r"reads PostgreSQL's log, and the outbox is in (SQLite|M)"):
            call_command("dlq_debezium")
        return
    found = Connector.of("default")

    assert found.label == "public.django_dlq_outboxmessage"
    assert found.name == slot_name(connection.settings_dict["NAME"], "default")
