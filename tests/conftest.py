"""What the tests of many modules need."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import override_settings

from django_dlq import contention
from django_dlq.brokers import brokers
from django_dlq.checkers import Checkers, checkers
from django_dlq.probes import probes
from django_dlq.registry import Registry, handlers
from tests import scripted_broker
from tests.scripted_broker import ScriptedBroker

pytest_plugins = ["django_dlq.testing.pytest_plugin"]

collect_ignore = ["test_checkback_threads.py", "test_retries_threads.py"] if connection.vendor == "sqlite" else []


@pytest.fixture
def registry() -> Iterator[Registry]:
    """Give the process's registry, empty and without probes, and put back afterwards what was in it."""
    before, handlers.handlers = handlers.handlers, []
    asked, probes.probes = probes.probes, {}
    yield handlers
    handlers.handlers, probes.probes = before, asked


@pytest.fixture
def no_checkers() -> Iterator[Checkers]:
    """Give the process's checkers, of which there is none, and put back afterwards what was there."""
    before, checkers.by_name = checkers.by_name, {}
    yield checkers
    checkers.by_name = before


@pytest.fixture
def broker() -> Iterator[ScriptedBroker]:
    """Give the default broker, one that does what the test says."""
    with override_settings(DLQ_BROKERS={"default": {"BACKEND": scripted_broker.PATH}}):
        yield brokers["default"]


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect the seconds between attempts of what met other transactions, instead of resting."""
    collected: list[float] = []
    monkeypatch.setattr(contention.time, "sleep", collected.append)
    return collected
