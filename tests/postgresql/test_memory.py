"""However large messages are, a page of them takes no more memory than it may."""

import os
import subprocess
import sys

import pytest
from django.db import connection

from django_dlq.models import OutboxMessage
from django_dlq.models.outbox_reading import PAGE_BYTES
from tests.scenarios.starting import ROOT

ROWS = 100
INSERT = """
    INSERT INTO {table} (message_id, message_key, topic, tag, broker, lane, priority, "group", headers, key, body)
    SELECT n, n, 'orders', '', 'default', 0, 0, '', {headers}, {key}, {body} FROM generate_series(1, %s) AS n
"""
LARGE = "repeat('x', 600000)"
SMALL = {"headers": "'[]'", "key": "'k'", "body": "'b'"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "large",
    [{"headers": f"jsonb_build_array(jsonb_build_array('h', {LARGE}))"}, {"key": LARGE}, {"body": f"{LARGE}::bytea"}],
    ids=lambda large: next(iter(large)),
)
def test_a_backlog_of_large_messages_is_read_in_pages_that_are_small(large: dict[str, str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(INSERT.format(table=OutboxMessage._meta.db_table, **SMALL | large), [ROWS])
    rows, grown = map(int, read_all().split())

    assert rows == ROWS
    # What the driver has, what is made of it, and the page before. All of it would be twice 60 MB.
    assert grown < 4 * PAGE_BYTES


def read_all() -> str:
    place = "{USER}@{HOST}:{PORT}/{NAME}".format(**connection.settings_dict)
    environment = os.environ | {"DATABASE_URL": f"postgres://{place}", "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-m", "tests.postgresql.reading_all"]
    return subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout
