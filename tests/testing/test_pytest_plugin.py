import subprocess
import sys

import pytest

from django_dlq import outbox, testing
from django_dlq.brokers import brokers
from django_dlq.brokers.memory import MemoryBroker


def test_messages_are_those_of_this_test(dlq):
    outbox.publish("orders", "1")

    assert [message.body for message in dlq.messages] == [b"1"]


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_an_empty_broker(dlq, turn):
    assert isinstance(dlq.broker, MemoryBroker)
    assert dlq.broker.records("orders") == []
    outbox.publish("orders", "1")
    dlq.drain()
    assert len(dlq.broker.records("orders")) == 1


def test_every_alias_of_the_project_is_kept(request, settings):
    settings.DLQ_BROKERS = {"default": {"BACKEND": "a.Broker"}, "events": {"BACKEND": "another.Broker"}}
    dlq = request.getfixturevalue("dlq")
    outbox.publish("orders", "1", broker="events")
    dlq.drain()

    assert len(brokers["events"].records("orders")) == 1
    assert dlq.broker.records("orders") == []


@pytest.mark.once
@pytest.mark.parametrize("module", ["django_dlq.testing", "django_dlq.testing.pytest_plugin"])
def test_it_is_imported_before_django_is_set_up_and_without_a_driver(module):
    program = f"import sys, {module}; print({{'confluent_kafka', 'django_dlq.models'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("set()\n", "")


@pytest.mark.once
def test_only_public_names_are_given():
    assert testing.drain.__module__ == "django_dlq.testing.draining"
    with pytest.raises(AttributeError, match="no attribute 'drian'"):
        testing.drian  # noqa: B018
