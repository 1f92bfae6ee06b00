"""What the database must be able to do for the settings."""

from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.db import connections, router

from django_dlq import debezium
from django_dlq.checks.brokers import check_brokers
from django_dlq.checks.settings import check_settings
from django_dlq.conf import conf
from django_dlq.models import OutboxMessage
from django_dlq.models.wake_up import can_wake
from django_dlq.outbox_pruning import followed_brokers


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
    named = debezium.brokers_by_slot(connections[using].settings_dict["NAME"])
    shared = [
        Error(
            f"The brokers {', '.join(map(repr, sharing))} would share Debezium's replication slot {name!r}.",
            hint="Rename one of them: what one connector has sent would count as sent by the other.",
            id="django_dlq.E063",
        )
        for name, sharing in named.items()
        if len(sharing) > 1
    ]
    if shared:
        return list(shared)
    left = sorted(set(conf.DLQ_BROKERS) - set(followed_brokers(using)))
    return [
        CheckWarning(
            f"Debezium's connector for the broker {alias!r} has no replication slot, or has lost it.",
            hint=f"Start the connector of manage.py dlq_debezium --broker {alias}; until then its rows are kept.",
            id="django_dlq.W060",
        )
        for alias in left
    ]
