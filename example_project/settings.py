"""The settings of the example: a shop on SQLite, unless DATABASE_URL says otherwise.

`python -m example_project.demo` sets the variables that are read here. The secret key is public and DEBUG is on, which
is fine only because the demo listens on this machine's loopback address alone.
"""

import os
from datetime import timedelta
from pathlib import Path

import dj_database_url

FOLDER = Path(os.environ.get("DEMO_FOLDER") or Path(__file__).parent.parent / ".demo")
FOLDER.mkdir(parents=True, exist_ok=True)

SECRET_KEY = "public, for a demo on loopback only"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "example_project.urls"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "django_dlq",
    "example_project.shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL") or f"sqlite:///{FOLDER / 'shop.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a writer waits for another at its beginning, instead of failing in the middle. WAL: readers never wait.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }

# What django_dlq needs to know.
DLQ_BROKERS = {
    "default": {
        "BACKEND": "django_dlq.brokers.kafka.KafkaBroker",
        "OPTIONS": {"bootstrap.servers": os.environ.get("KAFKA") or "127.0.0.1:9092"},
    }
}
# A relay that was killed is missed after ten seconds, not thirty: somebody is watching.
DLQ_RELAY_LEASE = timedelta(seconds=10)
DLQ_PUBLISH_TIMEOUT = timedelta(seconds=5)
DLQ_RETRY_DELAYS = [timedelta(seconds=float(step)) for step in os.environ.get("DEMO_LADDER", "2 5 10").split()]
"""A ladder for watching: a message that fails is dead after four attempts, 17 seconds after the first one."""
# Here an outage is watched until its messages are dead letters; elsewhere the group would stop before.
DLQ_STORM_IN_ROW = DLQ_STORM_SHARE = None
# A payment that nobody has heard of is asked about after three seconds, not six, for the same reason.
DLQ_CHECKBACK_AFTER = timedelta(seconds=3)
DLQ_CHECKBACK_EVERY = timedelta(seconds=2)

# What the shop needs to know.
BANK_LEDGER = FOLDER / "bank.log"
SHOP_TOPIC = os.environ.get("DEMO_TOPIC", "orders")
LOGISTICS_URL = os.environ.get("LOGISTICS_URL", "http://127.0.0.1:8009")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "format": "{asctime} [{process}] {levelname:7} {name}: {message}",
            "style": "{",
        }
    },
    "handlers": {
        "file": {"class": "logging.FileHandler", "filename": FOLDER / "demo.log", "formatter": "line"},
        "console": {"class": "logging.StreamHandler", "formatter": "line", "level": "ERROR"},
    },
    "root": {"handlers": ["file", "console"], "level": "INFO"},
    # In place of Django's own handlers, which write every request to the terminal.
    "loggers": {name: {"handlers": [], "propagate": True} for name in ("django", "django.server")},
}
