"""What keeps messages from being sent or handled: outages, pauses, open circuits, stopped groups, deadly messages."""

from typing import Final

from django_dlq.conf import conf
from django_dlq.figures import OpenCircuit, Outage, Paused, Stopped, Suspected
from django_dlq.models import BrokerOutage, Circuit, DatabaseNow, Dependency, Pause, StoppedGroup, Suspect, database_now

MOST_NAMED: Final = 1_000
"""Pauses, outages, stopped groups and suspects that are named."""


def outages() -> tuple[Outage, ...]:
    """Tell which brokers and topics relays that run cannot reach, the longest out of reach first."""
    rows = BrokerOutage.objects.filter(relay__alive_until__gt=DatabaseNow()).order_by("since", "pk")[:MOST_NAMED]
    by_place: dict[tuple[str, str], list[BrokerOutage]] = {}
    for row in rows:
        by_place.setdefault((row.broker, row.topic), []).append(row)
    return tuple(
        Outage(
            broker=broker,
            topic=topic,
            since=of[0].since,
            reason=of[0].reason,
            relays=tuple(row.relay_id for row in of),
        )
        for (broker, topic), of in by_place.items()
    )


def pauses() -> tuple[Paused, ...]:
    """Tell what people have paused, the longest ago first."""
    rows = Pause.objects.order_by("at", "pk")[:MOST_NAMED]
    return tuple(
        Paused(
            scope=row.scope,
            broker=row.broker,
            topic=row.topic,
            key=row.key,
            since=row.at,
            reason=row.reason,
            actor=row.actor_name,
        )
        for row in rows
    )


def circuits() -> tuple[OpenCircuit, ...]:
    """Tell which circuits are not closed, the longest ago opened first."""
    rows = Dependency.objects.exclude(state=Circuit.CLOSED).order_by("opened_at", "name")[:MOST_NAMED]
    return tuple(
        OpenCircuit(
            dependency=row.name,
            state=row.state,
            since=row.opened_at or database_now(Dependency.objects.db),
            reason=row.reason if row.is_by_hand else f"{row.error_class}: {row.error_message}",
            actor=row.actor_name,
        )
        for row in rows
    )


def stopped() -> tuple[Stopped, ...]:
    """Tell which groups take nothing, the longest first; those of other releases may have no process any more."""
    rows = StoppedGroup.objects.filter(stop_key__isnull=False).order_by("stopped_at", "pk")[:MOST_NAMED]
    return tuple(
        Stopped(
            group=row.group,
            release=row.release,
            is_own_release=row.release == conf.DLQ_RELEASE,
            since=row.stopped_at,
            handler=row.handler,
            failed=row.failed,
            out_of=row.out_of,
            error_class=row.error_class,
            error_message=row.error_message,
            fingerprint=row.fingerprint,
        )
        for row in rows
    )


def suspects() -> tuple[Suspected, ...]:
    """Tell which messages processes seem to die of, those with the most deaths first."""
    rows = Suspect.objects.filter(deaths__gt=1).order_by("-deaths", "pk")[:MOST_NAMED]
    return tuple(
        Suspected(
            group=row.group,
            topic=row.topic,
            partition=row.partition,
            offset=row.offset,
            message_key=row.message_key,
            handler=row.handler,
            deaths=row.deaths,
            since=row.begun_at,
        )
        for row in rows
    )
