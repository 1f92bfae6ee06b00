"""How fast messages go out is read from the pages that were written last, of however long a history."""

from datetime import timedelta

import pytest
from django.db import connection

from django_dlq import metrics
from django_dlq.models import PublishedMessage
from tests.postgresql.filling import empty, fill_history
from tests.postgresql.plans import plans_of
from tests.postgresql.statistics import analyse, forget

ROWS, LATE = 100_000, 500
TABLE = PublishedMessage._meta.db_table


@pytest.mark.django_db
@pytest.mark.parametrize("is_analysed", [False, True])
def test_a_catch_up_behind_a_long_history_is_found_in_a_few_pages(is_analysed: bool) -> None:
    empty(TABLE)
    forget(PublishedMessage)
    fill_history(LATE + 1, ROWS, age=timedelta(hours=1))
    fill_history(1, LATE)
    with connection.cursor() as cursor:  # as VACUUM does, which a transaction cannot
        cursor.execute("SELECT brin_summarize_new_values('dlq_published_at')")
        cursor.execute(f"SELECT pg_relation_size('{TABLE}') / 8192")
        pages = cursor.fetchone()[0]
    if is_analysed:
        analyse(PublishedMessage)
    plans = plans_of(metrics.published)
    (reading,) = [plan for plan in plans if "dlq_published_at" in plan.indexes]

    assert metrics.published().rate == LATE / 60
    assert not reading.is_compiled
    assert not reading.read_whole
    assert reading.pages < pages / 10
