"""The project that is measured: the app, one business table, and PostgreSQL as `make services` runs it."""

from tests.services.postgresql import POSTGRESQL

SECRET_KEY = "for benchmarks only"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django_dlq", "benchmarks"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "dlq_bench",
        "USER": "postgres",
        "HOST": POSTGRESQL.host,
        "PORT": POSTGRESQL.port,
        "CONN_MAX_AGE": None,
    }
}
# The address comes when a Kafka has been started; see kafka.py.
DLQ_BROKERS = {"default": {"BACKEND": "django_dlq.brokers.kafka.KafkaBroker", "OPTIONS": {}}}
