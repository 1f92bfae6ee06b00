from types import SimpleNamespace

import pytest
from django.db import connection, transaction

from django_dlq import outbox
from django_dlq.models.wake_up import can_wake


@pytest.mark.django_db
@pytest.mark.parametrize("notify", [False, True])
def test_only_on_postgresql_and_if_it_is_wanted_a_call_waits_for_the_commit(settings, notify):
    settings.DLQ_RELAY_NOTIFY = notify
    with transaction.atomic():
        outbox.publish("orders", "x")
        waiting = len(connection.run_on_commit)

    assert waiting == (1 if notify and connection.vendor == "postgresql" else 0)


@pytest.mark.once
@pytest.mark.parametrize(
    ("vendor", "driver", "can"),
    [("postgresql", "psycopg", True), ("postgresql", "psycopg2", False), ("mysql", "MySQLdb", False)],
)
def test_it_takes_postgresql_and_psycopg_3(vendor, driver, can):
    assert can_wake(SimpleNamespace(vendor=vendor, Database=SimpleNamespace(__name__=driver))) is can
