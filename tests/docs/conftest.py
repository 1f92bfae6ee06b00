"""What the pages of the manual find when their blocks run."""

import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import tests.shop.models
from django_dlq.brokers import brokers
from django_dlq.checkers import checkers
from django_dlq.probes import probes
from django_dlq.registry import handlers


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let pages say `from shop.models import Order`, and forget what another page has defined and sent."""
    package = ModuleType("shop")
    package.models = tests.shop.models  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop", package)
    monkeypatch.setitem(sys.modules, "shop.models", tests.shop.models)
    before = handlers.handlers, probes.probes, checkers.by_name
    handlers.handlers, probes.probes, checkers.by_name = [], {}, {}
    brokers["default"].reset()  # type: ignore[attr-defined]  # it is a MemoryBroker
    yield
    handlers.handlers, probes.probes, checkers.by_name = before
