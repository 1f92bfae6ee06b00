"""A fixture for pytest; enable it in conftest.py: `pytest_plugins = ["django_dlq.testing.pytest_plugin"]`.

def test_a_paid_order_is_shipped(dlq):
    pay(order)
    assert dlq.messages[0].tag == "paid"
    assert dlq.drain().handled == 1

It needs pytest-django. Importing this file imports no model, since pytest does so before Django is set up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from django.test import override_settings

from django_dlq import testing
from django_dlq.brokers import brokers
from django_dlq.conf import conf

if TYPE_CHECKING:
    from django_dlq.brokers.memory import MemoryBroker
    from django_dlq.testing import CapturedMessages, Drained
    from django_dlq.testing.draining import RetriesToRun

MEMORY = {"BACKEND": "django_dlq.brokers.memory.MemoryBroker"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dlq:
    """What the fixture `dlq` gives a test: `messages` are those published since it began."""

    messages: "CapturedMessages"

    @property
    def broker(self) -> "MemoryBroker":
        """The test's own MemoryBroker, under the alias "default"."""
        broker: MemoryBroker = brokers["default"]
        return broker

    def drain(self, *, max_rounds: int = 100, retries: "RetriesToRun" = "due") -> "Drained":
        """Relay, consume and retry until nothing is left to do; see `django_dlq.testing.drain`."""
        return testing.drain(max_rounds=max_rounds, retries=retries)


@pytest.fixture
def dlq(db: None) -> Iterator[Dlq]:
    """Give a test its published messages, `drain()`, and an empty MemoryBroker under every alias of DLQ_BROKERS."""
    fresh = dict.fromkeys(("default", *conf.DLQ_BROKERS), MEMORY)
    with override_settings(DLQ_BROKERS=fresh), testing.captured_messages() as messages:
        yield Dlq(messages=messages)
