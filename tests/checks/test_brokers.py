import pytest
from django.core.checks import Error

from django_dlq.brokers.base import Broker
from tests import scripted_broker
from tests.checks.found import found


def test_the_settings_of_the_tests_are_right():
    assert found() == []


class Picky(Broker):
    @classmethod
    def check(cls, alias, options):
        return [Error(f"{alias} needs a server", hint="Name one.", id="django_dlq.E199")] if not options else []


PICKY = f"{__name__}.Picky"


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ([], ["E001"]),
        ("django_dlq.brokers.memory.MemoryBroker", ["E001"]),
        (None, ["E001"]),
        ({}, ["W001"]),
        ({"default": {}}, ["E002"]),
        ({"default": None}, ["E002"]),
        ({"default": {"BACKEND": Broker}}, ["E002"]),
        ({"default": {"BACKEND": scripted_broker.PATH, "OPTION": {}}}, ["E003"]),
        ({"default": {"BACKEND": "nowhere.Broker"}}, ["E004"]),
        ({"default": {"BACKEND": "broker"}}, ["E004"]),
        ({"default": {"BACKEND": "django_dlq.brokers.memory.Memory"}}, ["E004"]),
        ({"default": {"BACKEND": "datetime.timedelta"}}, ["E005"]),
        ({"default": {"BACKEND": "json.dumps"}}, ["E005"]),
        ({"default": {"BACKEND": scripted_broker.PATH, "OPTIONS": []}}, ["E006"]),
        ({"default": {"BACKEND": scripted_broker.PATH, "OPTIONS": None}}, ["E006"]),
        ({"default": {"BACKEND": PICKY}}, ["E199"]),
        ({"default": {"BACKEND": PICKY, "OPTIONS": {"a": 1}}}, []),
        ({"default": {"BACKEND": scripted_broker.PATH}, "b": {}, 3: {"BACKEND": "nowhere.Broker"}}, ["E002", "E004"]),
    ],
)
def test_every_mistake_in_the_brokers_has_its_id(settings, registry, value, ids):
    settings.DLQ_BROKERS = value

    assert found() == ids
