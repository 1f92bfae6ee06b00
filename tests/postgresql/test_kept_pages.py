"""The server keeps the plan of a page for a relay that reads on a connection of its own."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction

from django_dlq import outbox
from django_dlq.models.outbox_reading import Reading, Scope
from django_dlq.models.postgresql_plans import TIMES, Plans
from django_dlq.models.postgresql_reading import MOST_KEPT
from django_dlq.relay import Relay
from tests.postgresql.configured import configured

pytestmark = pytest.mark.django_db(transaction=True)

EVERY_BYTE = bytes(range(256))


@pytest.fixture(autouse=True)
def messages() -> Iterator[None]:
    """Give a new connection, and some messages."""
    with configured():
        with transaction.atomic():
            for number in range(3):
                outbox.publish("t", EVERY_BYTE, key="100 % ü $1", headers={"h": EVERY_BYTE}, priority=number)
        yield


def kept(scope: Scope | None = None) -> Reading:
    return Reading(scope or Scope(), 10, using="default", keep_plans=True)


def plans() -> list[tuple[int, int]]:
    """Return of each statement that is prepared how often a plan for any places was used, and one for its own."""
    return run("SELECT generic_plans, custom_plans FROM pg_prepared_statements ORDER BY prepare_time")


def run(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def test_what_is_read_again_and_again_is_planned_once_and_is_the_same() -> None:
    reading, expected = kept(), Reading(Scope(), 10, using="default").page(0)
    pages = [reading.page(0) for _ in range(TIMES + 3)]
    assert pages == [expected] * (TIMES + 3)
    assert plans() == [(3, 0)]


def test_it_is_one_plan_however_large_the_ids_become() -> None:
    reading = kept()
    for place in (0, *(2**exponent for exponent in range(1, 63, 4))):
        assert reading.page(place) == Reading(Scope(), 10, using="default").page(place)
    assert plans() == [(17 - TIMES, 0)]


def test_the_newest_id_is_found_with_a_plan_that_is_kept() -> None:
    reading = kept()
    newest = {reading.newest(0) for _ in range(TIMES + 2)}
    assert newest == {max(row.id for row in reading.page(0).rows)}
    assert plans() == [(2, 0)]


def test_what_is_paused_is_not_read_with_a_plan_either() -> None:
    reading = kept(Scope(keys=frozenset([("t", "100 % ü $1")])))
    assert [reading.page(0).rows for _ in range(TIMES + 2)] == [[]] * (TIMES + 2)
    assert plans() == [(2, 0)]


def test_only_so_many_are_kept() -> None:
    for number in range(3 * MOST_KEPT):
        reading = kept(Scope(topics=frozenset([str(number)])))
        for _ in range(TIMES + 2):
            assert reading.page(0).rows
    assert MOST_KEPT - 1 <= len(plans()) <= MOST_KEPT + 1


def test_behind_a_pooler_none_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plans, "is_direct", lambda plans, driver: False)
    reading = kept()
    for _ in range(TIMES + 3):
        assert reading.page(0).rows
    assert plans() == []


def test_a_page_is_read_though_somebody_has_dropped_all_that_was_prepared() -> None:
    reading = kept()
    before = [reading.page(0) for _ in range(TIMES + 2)]
    run("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")  # of which the driver hears nothing
    assert reading.page(0) == before[0]
    assert reading.page(0) == before[0]


def test_a_page_is_read_though_a_column_has_another_type_since() -> None:
    reading = kept()
    before = [reading.page(0) for _ in range(TIMES + 2)]
    run("ALTER TABLE django_dlq_outboxmessage ALTER letter_id TYPE integer")
    try:
        assert reading.page(0) == before[0]
    finally:
        run("ALTER TABLE django_dlq_outboxmessage ALTER letter_id TYPE bigint")
    assert reading.page(0) == before[0]


def test_what_is_wrong_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = kept()
    run("ALTER TABLE django_dlq_outboxmessage RENAME tag TO label")
    try:
        with pytest.raises(ProgrammingError, match="tag"):
            reading.page(0)
    finally:
        run("ALTER TABLE django_dlq_outboxmessage RENAME label TO tag")


@pytest.mark.parametrize("pipelined", [True, False])
def test_only_a_relay_that_reads_on_a_connection_of_its_own_has_plans_kept(*, pipelined: bool) -> None:
    relay = Relay(pipelined=pipelined)
    for _ in range(TIMES + 5):
        relay.run_once()
    assert bool(relay._reading.submit(plans).result()) is pipelined
    relay.close()
