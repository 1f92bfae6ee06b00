from datetime import timedelta

import pytest
from django.conf import settings as django_settings

from django_dlq.conf import MASKED_FIELDS, Settings, conf

pytestmark = pytest.mark.once

DEFAULTS = {
    "DLQ_BROKERS": {},
    "DLQ_HANDLERS_MODULE": "handlers",
    "DLQ_MAX_MESSAGE_BYTES": 1_000_000,
    "DLQ_RELEASE": "",
    "DLQ_RELAY_BATCH": 4000,
    "DLQ_RELAY_LEASE": timedelta(seconds=30),
    "DLQ_PUBLISH_TIMEOUT": timedelta(seconds=10),
    "DLQ_POLL_INTERVAL": timedelta(milliseconds=100),
    "DLQ_CONSUMER_BATCH": 100,
    "DLQ_RETRY_DELAYS": None,
    "DLQ_NEVER_RETRY": ("django_dlq.exceptions.UnreadableBody",),
    "DLQ_PUBLISHED_RETENTION": timedelta(days=7),
    "DLQ_INBOX_RETENTION": timedelta(days=90),
    "DLQ_CLOSED_RETENTION": timedelta(days=30),
    "DLQ_REPLAY_WINDOW": timedelta(days=7),
    "DLQ_MASKED_FIELDS": MASKED_FIELDS,
    "DLQ_HOLD_TOPICS": (),
    "DLQ_OUTBOX_RETENTION": None,
    "DLQ_RELAY_POLL_INTERVAL": timedelta(milliseconds=8),
    "DLQ_PRUNE": True,
    "DLQ_PRUNE_WINDOW": None,
    "DLQ_PRUNE_PAUSE": timedelta(0),
    "DLQ_LOCK_KEYS": False,
    "DLQ_RELAY_NOTIFY": False,
    "DLQ_CONSUMER_GRACE": timedelta(seconds=30),
    "DLQ_MOST_DEATHS": 3,
    "DLQ_STORM_IN_ROW": 50,
    "DLQ_STORM_SHARE": 0.5,
    "DLQ_STORM_WINDOW": 200,
    "DLQ_PROBE_INTERVAL": timedelta(seconds=2),
    "DLQ_REPLAY_AFTER_OUTAGE": False,
    "DLQ_DECIDED_RETENTION": timedelta(days=7),
    "DLQ_CHECKBACK_AFTER": timedelta(seconds=6),
    "DLQ_CHECKBACK_EVERY": timedelta(seconds=30),
    "DLQ_CHECKBACK_MOST": 15,
    "DLQ_CHECKBACK_TIMEOUT": timedelta(seconds=10),
    "DLQ_CHECKBACK_THREADS": 8,
    "DLQ_CHECKBACK_HOSTS": (),
    "DLQ_CHECKBACK_ALLOW_HTTP": False,
    "DLQ_CHECKBACK_ALLOW_PRIVATE": False,
    "DLQ_CHECKBACK_HTTP_TIMEOUT": timedelta(seconds=5),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_setting_that_is_not_given_has_its_documented_default(settings, name):
    if hasattr(django_settings, name):
        delattr(settings, name)

    assert getattr(conf, name) == DEFAULTS[name]


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_setting_is_read_when_it_is_used(settings, name):
    value = {"anything": {}} if name == "DLQ_BROKERS" else object()
    setattr(settings, name, value)

    assert getattr(conf, name) == value


def test_every_setting_has_a_default_and_an_explanation():
    properties = {name: each for name, each in vars(Settings).items() if name.startswith("DLQ_")}

    assert properties.keys() == DEFAULTS.keys()
    assert all(each.__doc__.endswith(".") for each in properties.values())
