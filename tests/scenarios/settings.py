"""The project of the processes that a scenario starts; stage.py sets the environment."""

import json
import os
from datetime import timedelta

from tests.settings import DATABASES, SECRET_KEY, USE_TZ

__all__ = ["SECRET_KEY", "USE_TZ"]

# No more than these processes need: dozens of them are started.
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_dlq",
    "tests.shop",
    "tests.scenarios",
]
if "SCENARIO_CELERY" in os.environ:
    INSTALLED_APPS.append("django_celery_beat")
DATABASES["default"] |= json.loads(os.environ["SCENARIO_DATABASE"])

DLQ_BROKERS = {
    "default": {
        "BACKEND": "django_dlq.brokers.kafka.KafkaBroker",
        # A member that was killed is missed after a second.
        "OPTIONS": {
            "bootstrap.servers": os.environ["SCENARIO_KAFKA"],
            "session.timeout.ms": 1000,
            "heartbeat.interval.ms": 200,
            "max.poll.interval.ms": int(os.environ.get("SCENARIO_MAX_POLL", "300000")),
        },
    }
}
if "SCENARIO_KIP848" in os.environ:  # then the broker's own settings hold
    DLQ_BROKERS["default"]["OPTIONS"] = {
        "bootstrap.servers": os.environ["SCENARIO_KAFKA"],
        "group.protocol": "consumer",
    }
DLQ_RELAY_LEASE = timedelta(seconds=float(os.environ["SCENARIO_LEASE"]))
DLQ_PUBLISH_TIMEOUT = min(timedelta(seconds=10), DLQ_RELAY_LEASE * 0.8)
if "SCENARIO_BATCH" in os.environ:
    DLQ_RELAY_BATCH = int(os.environ["SCENARIO_BATCH"])
if "SCENARIO_POLL" in os.environ:
    DLQ_RELAY_POLL_INTERVAL = timedelta(seconds=float(os.environ["SCENARIO_POLL"]))
DLQ_RELAY_NOTIFY = "SCENARIO_NOTIFY" in os.environ
DLQ_CONSUMER_GRACE = timedelta(seconds=float(os.environ.get("SCENARIO_GRACE", "30")))
DLQ_RETRY_DELAYS = [timedelta(seconds=float(os.environ.get("SCENARIO_RETRY", "0.01")))] * 5
DLQ_MOST_DEATHS = int(os.environ.get("SCENARIO_DEATHS", "3"))
DLQ_RELEASE = os.environ.get("SCENARIO_RELEASE", "")
if not DLQ_RELEASE:  # most let whole topics fail, and that is not what they are about
    DLQ_STORM_IN_ROW = DLQ_STORM_SHARE = None

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"timed": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "timed"}},
    "loggers": {"django_dlq": {"handlers": ["stderr"], "level": "INFO"}},
}
