"""What people and monitoring ask: how much waits, since when, who sends it, and what is in its way.

One place answers: `dlq_stats`, the admin and whatever else shows figures take them from here. No question reads a whole
table, however long the backlog is.
"""

from collections import Counter
from datetime import datetime
from typing import Final

from django.db.models import Count, Min

from django_dlq.checkers import checkers
from django_dlq.figures import (
    HalfMessages,
    Inbox,
    Letters,
    Outbox,
    Published,
    Relays,
    RelayState,
    Share,
    Snapshot,
)
from django_dlq.message import LANES
from django_dlq.models import (
    DatabaseNow,
    DeadLetter,
    HalfMessage,
    HalfState,
    OutboxMessage,
    RelayLane,
    RelayProcess,
    State,
    database_now,
)
from django_dlq.models.backlog import backlog, first_due
from django_dlq.models.clock import seconds_since
from django_dlq.models.inflow import inflow
from django_dlq.models.outflow import outflow
from django_dlq.obstacles import MOST_NAMED, circuits, outages, pauses, stopped, suspects

__all__ = [
    "MOST_HALF_MESSAGES",
    "MOST_LETTERS",
    "MOST_NAMED",
    "circuits",
    "first_due_seconds",
    "half_messages",
    "inbox",
    "letters",
    "outages",
    "outbox",
    "pauses",
    "published",
    "relays",
    "snapshot",
    "stopped",
    "suspects",
]

MOST_LETTERS: Final = 10_000
"""Letters of one state that are counted."""

MOST_HALF_MESSAGES: Final = 10_000
"""Half messages that are counted of each open state, and the newest ones whose states are told."""


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
    total = waiting.shares(lambda _: "total", now).get("total", Share())
    return Outbox(
        due=total.due,
        delayed=total.delayed,
        oldest_due_seconds=total.oldest_due_seconds,
        due_exact=waiting.due.is_exact,
        delayed_exact=waiting.delayed.is_exact,
        topics=waiting.shares(lambda place: place.topic, now),
        lanes=waiting.shares(lambda place: place.lane, now),
        brokers=waiting.shares(lambda place: place.broker, now),
    )


def first_due_seconds() -> float | None:
    """Tell for how long the first message that is due could have been sent; 0.0 if none is, and None if nobody knows.

    It is not always the one that has waited longest. Nobody knows where a short look at the outbox takes long.
    """
    found = first_due()
    return None if found is None else seconds_since(next(iter(found), None), _now())


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
        oldest_prepared_seconds=seconds_since(open_ones[HalfState.PREPARED]["since"], now),
        oldest_undecided_seconds=seconds_since(open_ones[HalfState.UNDECIDED]["since"], now),
        missing_checkers=dict(halves.waiting().count_by_missing_checker(checkers.by_name)[:MOST_NAMED]),
        exact=max(found["count"] for found in open_ones.values()) <= MOST_HALF_MESSAGES,
    )


def _now() -> datetime:
    return database_now(OutboxMessage.objects.db)
