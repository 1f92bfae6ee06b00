"""What groups did is counted along indexes, whatever the length of the inbox."""

import pytest
from django.db import connection

from django_dlq import metrics
from django_dlq.models import InboxMessage
from tests.postgresql.filling import empty
from tests.postgresql.plans import plans_of
from tests.postgresql.statistics import analyse, forget

ROWS, LATELY, ODD = 100_000, 300, 20
FILL = """
    INSERT INTO django_dlq_inboxmessage ("group", message_key, message_id, topic, handled_at, outcome)
    SELECT 'shipping', n::text, n::text, 'orders', now() - CASE WHEN n > %s THEN 0 ELSE 1 END * interval '1 hour',
        CASE WHEN n %% %s = 0 THEN 'skipped' ELSE 'handled' END
    FROM generate_series(1, %s) AS n
    """


@pytest.mark.django_db
@pytest.mark.parametrize("is_analysed", [False, True])
def test_a_long_inbox_is_counted_by_reading_a_few_pages(is_analysed: bool) -> None:
    table = InboxMessage._meta.db_table
    empty(table)
    forget(InboxMessage)
    with connection.cursor() as cursor:
        cursor.execute(FILL, [ROWS - LATELY, ROWS // ODD, ROWS])
    if is_analysed:
        analyse(InboxMessage)
    plans = plans_of(metrics.inbox)
    found = metrics.inbox()
    lately, odd = (plan for plan in plans if plan.indexes)

    assert found.groups == {"shipping": {"handled": LATELY - 1, "skipped": 1, "compensated": 0}}
    assert found.kept == {"shipping": {"skipped": ODD, "compensated": 0}}
    assert (lately.indexes, odd.indexes) == ({"dlq_inbox_at"}, {"dlq_inbox_odd"})
    assert lately.pages < 50
    assert odd.pages < 50
    assert not lately.read_whole | odd.read_whole
