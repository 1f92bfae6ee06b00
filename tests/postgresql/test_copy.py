"""Many rows are copied where the driver can, and come out the same where it cannot."""

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from django_dlq import outbox
from django_dlq.models import OutboxMessage, postgresql
from django_dlq.models.postgresql_copy import FEWEST, can_copy

pytestmark = pytest.mark.django_db


def write(count: int) -> list[str]:
    """Publish so many messages; return the first word of each statement."""
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        rows = outbox.publish_many(outbox.Message("t", str(n)) for n in range(count))
    stored = OutboxMessage.objects.order_by("id").values_list("id", "body", "message_id")
    assert [(pk, bytes(body), message_id) for pk, body, message_id in stored] == [
        (row.pk, row.body, row.message_id) for row in rows
    ]
    return [query["sql"].split()[0] for query in captured.captured_queries if "SAVEPOINT" not in query["sql"]]


def test_few_rows_are_inserted_and_many_are_copied() -> None:
    assert write(FEWEST - 1) == ["INSERT"]
    OutboxMessage.objects.all().delete()
    assert write(FEWEST) == ["SELECT", "COPY"]


def test_a_driver_that_cannot_copy_inserts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "can_copy", lambda _cursor, count: can_copy(object(), count))
    assert write(FEWEST) == ["INSERT"]


def test_what_the_database_refuses_is_django_s_error_and_leaves_a_savepoint_usable() -> None:
    rows = [OutboxMessage(topic="t", message_id="m" * 256, message_key="k") for _ in range(FEWEST)]
    with transaction.atomic():
        with pytest.raises(DataError), transaction.atomic():
            OutboxMessage.objects.add(rows)
        outbox.publish("kept", "")
    assert OutboxMessage.objects.get().topic == "kept"
