"""System checks: every wrong setting is found by `manage.py check`, with a stable id.

E001-E019 brokers, E020-E049 and E070-E099 other settings, E050-E059 handlers, E060-E069 databases; E1xx are the
brokers' own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import time, timedelta
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections, router
from django.utils.module_loading import import_string

from django_dlq import debezium
from django_dlq.brokers.base import Broker
from django_dlq.brokers.kafka_options import has_servers
from django_dlq.conf import conf
from django_dlq.models import OutboxMessage
from django_dlq.models.wake_up import can_wake
from django_dlq.outbox_pruning import followed_brokers
from django_dlq.registry import handlers

Problem = tuple[str, str]
"""What is wrong, and what to write instead."""


@register("django_dlq")
def check_brokers(**_: Any) -> list[CheckMessage]:
    """Check DLQ_BROKERS, and let each broker check its OPTIONS."""
    brokers: Any = conf.DLQ_BROKERS
    if not isinstance(brokers, Mapping):
        return [
            Error(
                "DLQ_BROKERS is not a dict.", hint='{"default": {"BACKEND": …, "OPTIONS": {…}}}', id="django_dlq.E001"
            )
        ]
    if not brokers:
        return [CheckWarning("DLQ_BROKERS has no broker.", hint="Nothing can be published.", id="django_dlq.W001")]
    return [found for alias, broker in brokers.items() for found in _check_broker(str(alias), broker)]


def _check_broker(alias: str, broker: Any) -> list[CheckMessage]:
    where = f"DLQ_BROKERS[{alias!r}]"
    if not isinstance(broker, Mapping) or not isinstance(broker.get("BACKEND"), str):
        return [Error(f"{where} has no BACKEND.", hint="Give it the dotted path of a broker.", id="django_dlq.E002")]
    if unknown := sorted(set(broker) - {"BACKEND", "OPTIONS"}):
        return [
            Error(f"{where} has unknown entries: {unknown}.", hint="Known: BACKEND, OPTIONS.", id="django_dlq.E003")
        ]
    try:
        backend = import_string(broker["BACKEND"])
    except ImportError as error:
        hint = "Look for a typing error, or install the extra that brings the driver."
        return [Error(f"{where}: BACKEND cannot be imported: {error}", hint=hint, id="django_dlq.E004")]
    if not (isinstance(backend, type) and issubclass(backend, Broker)):
        return [
            Error(
                f"{where}: BACKEND is not a Broker.",
                hint="Subclass django_dlq.brokers.base.Broker.",
                id="django_dlq.E005",
            )
        ]
    options = broker.get("OPTIONS", {})
    if not isinstance(options, Mapping):
        return [Error(f"{where}: OPTIONS is not a dict.", hint="Leave it out, or write {}.", id="django_dlq.E006")]
    return backend.check(alias, options)


@register("django_dlq")
def check_settings(**_: Any) -> list[CheckMessage]:
    """Check every other setting by itself, then those that depend on each other."""
    found: list[CheckMessage] = []
    for number, (name, rule, wanted) in zip(RULE_NUMBERS, RULES, strict=False):
        if not rule(getattr(conf, name)):
            found.append(
                Error(f"{name} is {getattr(conf, name)!r}.", hint=f"It must be {wanted}.", id=f"django_dlq.E0{number}")
            )
    return found or list(_check_together())


def _check_together() -> Iterator[CheckMessage]:
    if conf.DLQ_PUBLISH_TIMEOUT >= conf.DLQ_RELAY_LEASE:
        yield Error(
            "DLQ_PUBLISH_TIMEOUT is not shorter than DLQ_RELAY_LEASE.",
            hint="A relay must know what became of a batch before another relay may take over.",
            id="django_dlq.E040",
        )
    if conf.DLQ_RELAY_POLL_INTERVAL * 3 > conf.DLQ_RELAY_LEASE:
        yield Error(
            "DLQ_RELAY_POLL_INTERVAL is longer than a third of DLQ_RELAY_LEASE.",
            hint="A relay that rests that long would seem dead, and lose its lanes to another one.",
            id="django_dlq.E043",
        )
    inbox, closed = conf.DLQ_INBOX_RETENTION, conf.DLQ_CLOSED_RETENTION
    if inbox is not None and (closed is None or inbox <= closed):
        yield Error(
            "DLQ_INBOX_RETENTION is not longer than DLQ_CLOSED_RETENTION.",
            hint="The inbox must remember a message for longer than its dead letter can be restored and replayed.",
            id="django_dlq.E041",
        )
    if debezium.is_used():
        yield from _check_debezium()


def _check_debezium() -> Iterator[CheckMessage]:
    brokers = conf.DLQ_BROKERS if isinstance(conf.DLQ_BROKERS, Mapping) else {}
    for alias, broker in brokers.items():
        if not (isinstance(broker, Mapping) and has_servers(broker.get("OPTIONS", {}))):
            yield Error(
                f"DLQ_OUTBOX_RETENTION is set, and DLQ_BROKERS[{alias!r}] is not Kafka.",
                hint="Remove the setting and run the relay: Kafka Connect sends to Kafka only.",
                id="django_dlq.E042",
            )


@register("django_dlq")
def check_handlers(**_: Any) -> list[CheckMessage]:
    """Check that the handlers' brokers exist."""
    if not isinstance(conf.DLQ_BROKERS, Mapping):
        return []  # E001 says so
    return [
        Error(
            f"{handler.name} consumes from the broker {handler.broker!r}, which DLQ_BROKERS does not have.",
            hint="Add it to DLQ_BROKERS, or give the handler the alias of another broker.",
            id="django_dlq.E050",
        )
        for handler in handlers.handlers
        if handler.broker not in conf.DLQ_BROKERS
    ]


@register("django_dlq", Tags.database)
def check_databases(**_: Any) -> list[CheckMessage]:
    """Check that the routers keep all tables together: what is written together must be in one database."""
    aliases = {router.db_for_write(model) for model in apps.get_app_config("django_dlq").get_models()}
    if len(aliases) == 1:
        return []
    return [
        Error(
            f"DATABASE_ROUTERS spread the tables of django_dlq over several databases: {sorted(aliases)}.",
            hint="Send all of them to one: a message and its dead letter are written in one transaction.",
            id="django_dlq.E060",
        )
    ]


@register("django_dlq", Tags.database)
def check_key_locks(**_: Any) -> list[CheckMessage]:
    """Check that DLQ_LOCK_KEYS can do what it says."""
    database = connections[router.db_for_write(OutboxMessage)]
    if conf.DLQ_LOCK_KEYS is not True or database.vendor != "mysql":
        return []  # on SQLite there is one writer anyway
    return [
        CheckWarning(
            "DLQ_LOCK_KEYS has no effect on MySQL and MariaDB.",
            hint="Lock a row of your own that stands for the key, before you publish.",
            id="django_dlq.W061",
        )
    ]


@register("django_dlq", Tags.database)
def check_wake_up(**_: Any) -> list[CheckMessage]:
    """Check that DLQ_RELAY_NOTIFY can do what it says."""
    if conf.DLQ_RELAY_NOTIFY is not True or can_wake(connections[router.db_for_write(OutboxMessage)]):
        return []
    return [
        CheckWarning(
            "DLQ_RELAY_NOTIFY has no effect: it needs PostgreSQL and psycopg 3.",
            hint="Remove it: an idle relay looks for messages every DLQ_RELAY_POLL_INTERVAL.",
            id="django_dlq.W062",
        )
    ]


@register("django_dlq", Tags.database)
def check_replication(**_: Any) -> list[CheckMessage]:
    """Look for the slots of Debezium's connectors, without which nothing is sent."""
    if not debezium.is_used() or check_brokers() or check_settings():
        return []
    using = router.db_for_write(OutboxMessage)
    if connections[using].vendor != "postgresql":
        return [
            Error(
                f"DLQ_OUTBOX_RETENTION is set, and the outbox is not in PostgreSQL but {connections[using].vendor}.",
                hint="Remove the setting and run the relay: dlq_debezium has a connector for PostgreSQL only.",
                id="django_dlq.E061",
            )
        ]
    left = sorted(set(conf.DLQ_BROKERS) - set(followed_brokers(using)))
    return [
        CheckWarning(
            f"Debezium's connector for the broker {alias!r} has no replication slot, or has lost it.",
            hint=f"Start the connector of manage.py dlq_debezium --broker {alias}; until then its rows are kept.",
            id="django_dlq.W060",
        )
        for alias in left
    ]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_span(value: Any) -> bool:
    return isinstance(value, timedelta) and value > timedelta(0)


def _is_retention(value: Any) -> bool:
    return value is None or (isinstance(value, timedelta) and value >= timedelta(0))


def _is_pause(value: Any) -> bool:
    return value is not None and _is_retention(value)


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_window(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, Sequence) or len(value) != 2 or not all(isinstance(each, time) for each in value):
        return False
    return value[0] != value[1] and all(each.tzinfo is None for each in value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_ladder(value: Any) -> bool:
    return value is None or (isinstance(value, Sequence) and not isinstance(value, str) and all(map(_is_span, value)))


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(_is_text, value))


def _is_list_of_topics(value: Any) -> bool:
    return _is_list_of_text(value) and all(topic and "*" not in topic[:-1] for topic in value)


def _is_list_of_exceptions(value: Any) -> bool:
    if not _is_list_of_text(value):
        return False
    try:
        return all(issubclass(import_string(path), BaseException) for path in value)
    except (ImportError, TypeError):
        return False


# The place in this list makes the id: add at the end only.
RULES: Sequence[tuple[str, Callable[[Any], bool], str]] = (
    (
        "DLQ_HANDLERS_MODULE",
        lambda value: _is_text(value) and value.isidentifier(),
        "the name of a module, e.g. 'handlers'",
    ),
    ("DLQ_MAX_MESSAGE_BYTES", _is_count, "a number of bytes above 0"),
    ("DLQ_RELEASE", _is_text, "text, e.g. the git sha"),
    ("DLQ_RELAY_BATCH", _is_count, "a number of messages above 0"),
    ("DLQ_RELAY_LEASE", _is_span, "a timedelta above 0"),
    ("DLQ_PUBLISH_TIMEOUT", _is_span, "a timedelta above 0"),
    ("DLQ_POLL_INTERVAL", _is_span, "a timedelta above 0"),
    ("DLQ_CONSUMER_BATCH", _is_count, "a number of messages above 0"),
    ("DLQ_RETRY_DELAYS", _is_ladder, "a list of timedeltas above 0, or None for the default ladder"),
    ("DLQ_NEVER_RETRY", _is_list_of_exceptions, "a list of dotted paths of exception classes"),
    ("DLQ_PUBLISHED_RETENTION", _is_retention, "a timedelta, or None to keep all"),
    ("DLQ_INBOX_RETENTION", _is_retention, "a timedelta, or None to keep all"),
    ("DLQ_CLOSED_RETENTION", _is_retention, "a timedelta, or None to keep all"),
    ("DLQ_MASKED_FIELDS", _is_list_of_text, "a list of texts"),
    ("DLQ_HOLD_TOPICS", _is_list_of_topics, "a list of topics; * may stand at the end of one, for all that begin so"),
    ("DLQ_OUTBOX_RETENTION", lambda value: value is None or _is_span(value), "a timedelta above 0, or None"),
    ("DLQ_RELAY_POLL_INTERVAL", _is_span, "a timedelta above 0"),
    ("DLQ_PRUNE", _is_switch, "True or False"),
    ("DLQ_PRUNE_WINDOW", _is_window, "two different times of day without a zone, or None for always"),
    ("DLQ_PRUNE_PAUSE", _is_pause, "a timedelta of 0 or more"),
    ("DLQ_LOCK_KEYS", _is_switch, "True or False"),
    ("DLQ_RELAY_NOTIFY", _is_switch, "True or False"),
    ("DLQ_CONSUMER_GRACE", _is_span, "a timedelta above 0"),
)
RULE_NUMBERS = (*range(20, 40), *range(70, 100))
