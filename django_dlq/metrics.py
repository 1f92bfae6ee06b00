"""What people and monitoring ask: how much waits, since when, who sends it, and what is in its way.

One place answers: `dlq_stats`, the admin and whatever else shows figures take them from here. No question reads a whole
table, however long the backlog is.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from django.db.models import Count, Min

from django_dlq.checkers import checkers
from django_dlq.conf import conf
from django_dlq.figures import (
    HalfMessages,
    Inbox,
    Letters,
    OpenCircuit,
    Outage,
    Outbox,
    Paused,
    Published,
    Relays,
    RelayState,
    Share,
    Snapshot,
    Stopped,
    Suspected,
)
from django_dlq.message import LANES
from django_dlq.models import (
    BrokerOutage,
    Circuit,
    DatabaseNow,
    DeadLetter,
    Dependency,
    HalfMessage,
    HalfState,
    OutboxMessage,
    Pause,
    RelayLane,
    RelayProcess,
    State,
    StoppedGroup,
    Suspect,
    database_now,
)
from django_dlq.models.backlog import Backlog, Pile, Place, backlog
from django_dlq.models.inflow import inflow
from django_dlq.models.outflow import outflow

MOST_LETTERS: Final = 10_000
"""Letters of one state that are counted."""

MOST_HALF_MESSAGES: Final = 10_000
"""Half messages that are counted of each open state, and the newest ones whose states are told."""

MOST_NAMED: Final = 1_000
"""Pauses, outages, stopped groups and suspects that are named."""


def snapshot() -> Snapshot:
    """Read all figures, within seconds at the worst."""
    return Snapshot(
        at=_now(),
        outbox=outbox(),
        published=published(),
        inbox=inbox(),
        relays=relays(),
        outages=outages(),
        pauses=pauses(),
        circuits=circuits(),
        stopped=stopped(),
        suspects=suspects(),
        letters=letters(),
        half_messages=half_messages(),
    )


def outbox() -> Outbox:
    """Tell what waits, by topic, lane and broker: exactly up to a bound, and an estimate beyond."""
    waiting, now = backlog(), _now()
    total = _shares(waiting, lambda _: "total", now).get("total", Share())
    return Outbox(
        due=total.due,
        delayed=total.delayed,
        oldest_due_seconds=total.oldest_due_seconds,
        due_exact=waiting.due.is_exact,
        delayed_exact=waiting.delayed.is_exact,
        topics=_shares(waiting, lambda place: place.topic, now),
        lanes=_shares(waiting, lambda place: place.lane, now),
        brokers=_shares(waiting, lambda place: place.broker, now),
    )


def published() -> Published:
    """Tell how fast messages go out and how long they took, by topic and lane, from what the history got lately."""
    return outflow()


def inbox() -> Inbox:
    """Tell what groups did lately with the messages that came, and how many they passed over."""
    return inflow()


def relays() -> Relays:
    """Tell which relays run, and which lanes each has."""
    alive = list(RelayProcess.objects.alive().order_by("started_at", "owner"))
    leases = dict(RelayLane.objects.filter(leased_until__gt=DatabaseNow()).values_list("lane", "owner"))
    owners = {relay.owner for relay in alive}
    return Relays(
        alive=tuple(
            RelayState(
                owner=relay.owner,
                started_at=relay.started_at,
                lanes=tuple(sorted(lane for lane, owner in leases.items() if owner == relay.owner)),
                sent=relay.sent,
                rate=relay.rate,
            )
            for relay in alive
        ),
        free_lanes=tuple(lane for lane in range(LANES) if leases.get(lane) not in owners),
    )


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
            since=row.opened_at or _now(),
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


def letters() -> Letters:
    """Count dead letters by state, those that hold their key by topic, and those parked by group, up to a bound."""
    states = {
        state.value: DeadLetter.objects.filter(state=state).order_by()[: MOST_LETTERS + 1].count() for state in State
    }
    held = Counter(DeadLetter.objects.holding().values_list("topic", flat=True)[: MOST_LETTERS + 1])
    parked = Counter(DeadLetter.objects.parked().order_by().values_list("group", flat=True)[: MOST_LETTERS + 1])
    return Letters(
        states=states,
        held=dict(sorted(held.items())),
        parked=dict(sorted(parked.items())),
        exact=max(*states.values(), held.total()) <= MOST_LETTERS,
    )


def half_messages() -> HalfMessages:
    """Tell how many half messages nobody has decided, since when, and what became of the newest ones."""
    halves, now = HalfMessage.objects.order_by(), _now()
    open_ones = {
        state: halves.open()
        .filter(state=state)[: MOST_HALF_MESSAGES + 1]
        .aggregate(count=Count("pk"), since=Min("prepared_at"))
        for state in (HalfState.PREPARED, HalfState.UNDECIDED)
    }
    newest = Counter(halves.order_by("-pk").values_list("state", flat=True)[:MOST_HALF_MESSAGES])
    counts = {str(state): newest[state] for state in HalfState} | {
        str(state): found["count"] for state, found in open_ones.items()
    }
    return HalfMessages(
        states=counts,
        oldest_prepared_seconds=_age(open_ones[HalfState.PREPARED]["since"], now),
        oldest_undecided_seconds=_age(open_ones[HalfState.UNDECIDED]["since"], now),
        missing_checkers=dict(halves.waiting().count_by_missing_checker(checkers.by_name)[:MOST_NAMED]),
        exact=max(found["count"] for found in open_ones.values()) <= MOST_HALF_MESSAGES,
    )


def _shares(waiting: Backlog, part: Callable[[Place], Any], now: datetime) -> dict[Any, Share]:
    """Sum the piles up by a part of their place."""
    sums: dict[Any, tuple[Pile, Pile]] = {}
    for which, counted in enumerate(waiting):
        for place, pile in counted:
            sums.setdefault(part(place), (Pile(), Pile()))[which].add(pile.count, pile.since)
    return {
        name: Share(due=round(due.count), delayed=round(delayed.count), oldest_due_seconds=_age(due.since, now))
        for name, (due, delayed) in sorted(sums.items())
    }


def _now() -> datetime:
    return database_now(OutboxMessage.objects.db)


def _age(moment: datetime | None, now: datetime) -> float:
    # What was written between the two readings of the clock is new.
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())
