"""In an outbox of a million rows, the relay reads along its indexes, whatever PostgreSQL believes about it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from django_dlq.models import OutboxMessage
from django_dlq.models.holds import Holds
from django_dlq.models.outbox_reading import ENDLESS, Reading, Scope
from django_dlq.models.postgresql_reading import ALONG_INDEXES, AS_KEPT
from tests.postgresql import statistics
from tests.postgresql.filling import OUTBOX, TOPIC, fill_outbox
from tests.postgresql.plans import Plan, plan_of, plans_of

ROWS = 1_000_000
SENT_MEANWHILE = 200_000
PAGE = 4000

SCOPES = {
    "all lanes": Scope(),
    "some lanes": Scope(lanes=frozenset(range(16))),
    "pauses": Scope(topics=frozenset(["other"]), keys=frozenset([(TOPIC, "7")])),
    "a broker that is out of reach": Scope(closed=frozenset(["other"])),
    "held keys": Scope(holds=Holds(frozenset((TOPIC, str(number)) for number in range(10)))),
}


@pytest.mark.django_db(transaction=True)
def test_a_page_of_a_million_rows_is_read_along_the_indexes_whatever_the_database_believes() -> None:
    with elsewhere() as other:
        other.execute(f"ALTER TABLE {OUTBOX} SET (autovacuum_enabled = false)")
        try:
            fill_outbox(ROWS)
            fill_outbox(1000, delay="-1 hour")
            check_beliefs()
            check_beside_an_open_transaction(other)
        finally:
            other.execute(f"ALTER TABLE {OUTBOX} RESET (autovacuum_enabled)")


def check_beliefs() -> None:
    """Look with fresh statistics, with none, and those of when it was empty, short, or had delayed ones only."""
    start = first_id() - 1
    with transaction.atomic():
        statistics.analyse(OutboxMessage)
        check_pages(start, start + ROWS // 2)
        statistics.forget(OutboxMessage)
        check_pages(start, start + ROWS // 2)
        statistics.believe_empty(OutboxMessage)
        check_pages(start, start + ROWS // 2)
        statistics.remember(OutboxMessage, lambda table: fill_outbox(10, table=table))
        check_pages(start)
        statistics.remember(OutboxMessage, lambda table: fill_outbox(10, lanes=[63], delay="1 day", table=table))
        check_pages(start, start + ROWS // 2)
        statistics.analyse(OutboxMessage)


def check_beside_an_open_transaction(relay: "psycopg.Connection[Any]") -> None:
    """Look where a relay has come to, while somebody keeps all that it has sent from being removed."""
    with elsewhere() as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")
        reached = first_id() - 1 + SENT_MEANWHILE
        relay.execute(f"DELETE FROM {OUTBOX} WHERE id <= {reached}")
        with transaction.atomic():
            check_pages(reached)
        reader.execute("ROLLBACK")


def check_pages(*places: int) -> None:
    """Look at the plan of a page after each of these ids, in each scope."""
    for after in places:
        for name, scope in SCOPES.items():
            reading = Reading(scope, PAGE, using="default")
            (plan,) = plans_of(lambda reading=reading, after=after: reading.page(after))  # type: ignore[misc]
            for each in (plan, kept_plan(reading, after)):
                assert not each.kinds & {"Seq Scan", "Sort", "Bitmap Heap Scan"}, (name, after)
                assert each.indexes == {"django_dlq_outboxmessage_pkey", "dlq_outbox_delayed", "dlq_outbox_urgent"}
                # Some lanes are a quarter of the rows; each urgent or delayed one may be on a page of its own.
                most = 3 * PAGE if scope.lanes else 1.5 * PAGE
                assert each.pages < most, (name, after, each.pages)
                assert not each.is_compiled, (name, after)
        (plan,) = plans_of(lambda after=after: Reading(Scope(), PAGE, using="default").newest(after))  # type: ignore[misc]
        assert plan.pages < 10, (after, plan.pages)


def kept_plan(reading: Reading, after: int) -> Plan:
    """Return the plan that the server would keep for a page, and that is carried out between any two ids."""
    statement, _ = reading._with_aside._between._statement(connection, (after, ENDLESS), numbered=True)
    settings = ALONG_INDEXES | AS_KEPT
    with connection.cursor() as cursor:
        for setting, value in settings.items():
            cursor.execute(f"SET LOCAL {setting} TO {value}")
        cursor.execute(f"PREPARE kept (bigint, bigint) AS {statement}", None)
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE kept (%s, %s)", [after, ENDLESS])
        plan = plan_of(*cursor.fetchone())
        cursor.execute("DEALLOCATE kept")
        for setting in settings:
            cursor.execute(f"SET LOCAL {setting} TO DEFAULT")
    return plan


def first_id() -> int:
    return OutboxMessage.objects.order_by("pk").values_list("pk", flat=True)[0]


@contextmanager
def elsewhere() -> Iterator["psycopg.Connection[Any]"]:
    """Give another session, whose statements are committed at once."""
    parameters = connection.get_connection_params()
    known = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(autocommit=True, **{name: parameters[name] for name in known if name in parameters}) as other:
        yield other
