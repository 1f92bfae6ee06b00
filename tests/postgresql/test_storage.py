"""PostgreSQL knows how the tables live, and forgets it when the migration is taken back."""

from importlib import import_module

import pytest
from django.core.management import call_command
from django.db import connection

from django_dlq.models import InboxMessage, OutboxMessage, PublishedMessage, RelayLane, RelayProcess

TABLES = import_module("django_dlq.migrations.0002_postgresql_storage").TABLES
MODELS = [InboxMessage, OutboxMessage, PublishedMessage, RelayLane, RelayProcess]


def options() -> dict[str, dict[str, str]]:
    """Return the storage parameters of each model's table."""
    found = {}
    with connection.cursor() as cursor:
        for model in MODELS:
            cursor.execute("SELECT reloptions FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table])
            (given,) = cursor.fetchone()
            found[model.__name__] = dict(option.split("=") for option in given or [])
    return found


@pytest.mark.django_db
def test_the_outbox_is_vacuumed_by_the_number_of_dead_rows() -> None:
    outbox = options()["OutboxMessage"]

    assert outbox["autovacuum_vacuum_scale_factor"] == "0"
    assert int(outbox["autovacuum_vacuum_threshold"]) <= 5000
    assert options() == TABLES


@pytest.mark.django_db(transaction=True)
def test_it_can_be_taken_back_and_done_again() -> None:
    call_command("migrate", "django_dlq", "0001", verbosity=0)
    try:
        assert not any(options().values())
    finally:
        call_command("migrate", "django_dlq", verbosity=0)
    assert options() == TABLES
