import pytest
from django.core.checks import run_checks

from django_dlq import inbox
from tests.checks.found import found

pytestmark = pytest.mark.once


def test_a_dependency_without_a_probe_is_found(registry):
    inbox.handler("orders", group="shipping", depends_on="logistics")(print)
    (message,) = [each for each in run_checks(tags=["django_dlq"]) if each.id == "django_dlq.W100"]
    assert "builtins.print" in message.msg
    assert "'logistics'" in message.msg


def test_a_probe_that_nobody_needs_is_found(registry):
    inbox.handler("orders", group="shipping", depends_on="logistics")(print)
    inbox.probe("logistics")(len)
    inbox.probe("logistic")(print)
    assert found() == ["W101"]


def test_a_handler_and_its_probe_are_well(registry):
    inbox.handler("orders", group="shipping", depends_on="logistics")(print)
    inbox.probe("logistics")(len)
    assert found() == []
