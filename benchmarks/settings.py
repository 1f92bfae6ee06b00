"""The project that is measured: the app, one business table, and PostgreSQL as `make services` runs it.

What a process is to do differently comes in its environment: see processes.py.
"""

import os
from datetime import timedelta

from tests.services.postgresql import POSTGRESQL

SECRET_KEY = "for benchmarks only"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_dlq", "benchmarks"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("BENCH_DATABASE", "dlq_bench"),
        "USER": "postgres",
        "HOST": POSTGRESQL.host,
        "PORT": POSTGRESQL.port,
        "CONN_MAX_AGE": None,
    }
}
# In the benchmark's own process the address comes when a Kafka has been started; see kafka.py.
OPTIONS = {"bootstrap.servers": os.environ.get("BENCH_KAFKA", "127.0.0.1:9092"), "log_level": 3}
DLQ_BROKERS = {"default": {"BACKEND": "django_dlq.brokers.kafka.KafkaBroker", "OPTIONS": OPTIONS}}
# Both as they are by default, unless a scenario says otherwise.
if os.environ.get("BENCH_HISTORY") == "off":
    DLQ_PUBLISHED_RETENTION = timedelta(0)
if os.environ.get("BENCH_NOTIFY") == "on":
    DLQ_RELAY_NOTIFY = True
