from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_dlq import outbox
from django_dlq.models import HalfMessage, OutboxMessage
from django_dlq.outbox import Verdict

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def half(no_checkers):
    outbox.checker("charge")(lambda _: Verdict.UNKNOWN)
    return outbox.prepare("payments", {}, checker="charge", key="7", delay=timedelta(hours=1), priority=3)


@pytest.mark.parametrize("lock", [False, True])
def test_a_commit_is_one_statement_where_nothing_else_is_to_be_done(half, lock, settings):
    settings.DLQ_LOCK_KEYS = lock
    with CaptureQueriesContext(connection) as queries:
        row = half.commit()

    at_once = connection.vendor == "postgresql" and not lock
    assert (len(queries) == 1) is at_once
    found = OutboxMessage.objects.get()
    assert found.pk == row.pk
    assert (row.lane, row.due_at, row.created_at) == (found.lane, found.due_at, found.created_at)
    assert (found.priority, found.group, found.letter_id, found.expires_at) == (3, "", None, None)
    assert found.lane == outbox_lane("7")
    assert half.decided_at == HalfMessage.objects.get().decided_at


def outbox_lane(key):
    row = OutboxMessage(key=key)
    row.choose_lane()
    return row.lane
