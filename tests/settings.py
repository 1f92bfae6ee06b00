"""The project that the tests run in; the database comes from DATABASE_URL, SQLite without it."""

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import dj_database_url

SCRATCH = Path(tempfile.gettempdir()) / f"django-dlq-tests-{os.getuid()}"
SCRATCH.mkdir(exist_ok=True)

SECRET_KEY = "for tests only"
USE_TZ = True
ROOT_URLCONF = "tests.urls"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "django_dlq",
    "tests.shop",
]
if find_spec("django_celery_beat"):  # it has no release for Django 6.1 yet
    INSTALLED_APPS.append("django_celery_beat")
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
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
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
REST_FRAMEWORK = {"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"}

DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{SCRATCH / 'tests.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: some tests start processes of their own. IMMEDIATE, so that a writer waits for another
    # instead of failing in the middle of its transaction.
    DATABASES["default"]["TEST"] = {"NAME": str(SCRATCH / f"tests-{os.getpid()}.sqlite3")}
    DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE", "timeout": 20}

else:
    # Several rounds may run on one server at once.
    DATABASES["default"]["TEST"] = {"NAME": f"test_{DATABASES['default']['NAME']}_{os.getpid()}"}

DLQ_BROKERS = {"default": {"BACKEND": "django_dlq.brokers.memory.MemoryBroker"}}
