import threading
import uuid

import pytest
from django.conf import settings

from django_dlq import inbox
from django_dlq.consumer import Consumer

# Where a second writer waits for the first, nothing runs side by side.
collect_ignore = (
    ["test_contention.py", "test_order.py", "test_side_by_side.py"]
    if "sqlite3" in settings.DATABASES["default"]["ENGINE"]
    else []
)


@pytest.fixture
def group():
    """Name a group of this test's own.

    Rows of an earlier test that InnoDB has deleted, and not purged yet, would make writers of their keys wait for each
    other.
    """
    return f"shipping-{uuid.uuid4()}"


@pytest.fixture
def member(registry, broker, group):
    """Make the member of the group, close it afterwards, and see that its threads have ended."""
    members = []

    def make(function, **options):
        inbox.handler("orders", group=group, **options)(function)
        members.append(Consumer(group))
        return members[-1]

    yield make
    for each in members:
        each.close()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("dlq-")] == []
