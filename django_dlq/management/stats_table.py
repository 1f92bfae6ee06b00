"""The figures as lines for people."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from django_dlq.figures import Pace, Share, Snapshot, ranges
from django_dlq.message import LANES
from django_dlq.models import HalfState

MOST_LINES: Final = 10
"""Topics and lanes that have a line, those with the most due messages; the JSON has them all."""

LONGEST_LINE: Final = 300


def lines(told: Snapshot) -> Iterator[str]:
    """Return the lines."""
    yield from _outbox(told)
    yield from _published(told)
    yield from _inbox(told)
    yield from _relays(told)
    yield from _in_the_way(told)
    counts = ", ".join(f"{count:,} {state}" for state, count in told.letters.states.items() if count)
    yield _line("letters", f"{counts or 'none'}{'' if told.letters.exact else ' (or more)'}")
    yield from _half_messages(told)


def duration(seconds: float) -> str:
    """Return a time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86_400)
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {seconds % 60:.0f} s"


def _outbox(told: Snapshot) -> Iterator[str]:
    outbox = told.outbox
    due, delayed = ("" if exact else "about " for exact in (outbox.due_exact, outbox.delayed_exact))
    yield _line("outbox", f"{due}{outbox.due:,} due, {delayed}{outbox.delayed:,} delayed{_oldest(outbox)}")
    yield from _shares("topic", outbox.topics)
    yield from _shares("broker", outbox.brokers)
    yield from _shares("lane", outbox.lanes)


def _shares(word: str, shares: Mapping[Any, Share]) -> Iterator[str]:
    most = sorted(shares.items(), key=lambda item: (-item[1].due, item[0]))[:MOST_LINES]
    for name, share in most:
        yield f"  {word} {name}: {share.due:,} due, {share.delayed:,} delayed{_oldest(share)}"
    if len(shares) > len(most):
        yield f"  and {len(shares) - len(most)} more of these"


def _oldest(share: Share) -> str:
    return f", the oldest due for {duration(share.oldest_due_seconds)}" if share.due else ""


def _published(told: Snapshot) -> Iterator[str]:
    published = told.published
    rate = f"{'' if published.exact else 'about '}{published.rate:,.1f}/s in the last {_window(published.seconds)}"
    yield _line("published", f"{rate}, {_lag(published)}")
    fastest = sorted(published.topics.items(), key=lambda item: (-item[1].rate, item[0]))
    yield from (f"  topic {topic}: {pace.rate:,.1f}/s, {_lag(pace)}" for topic, pace in fastest[:MOST_LINES])
    if len(fastest) > MOST_LINES:
        yield f"  and {len(fastest) - MOST_LINES} more of these"


def _lag(pace: Pace) -> str:
    return f"confirmed after {duration(pace.lag_seconds)} on average, {duration(pace.longest_lag_seconds)} at most"


def _inbox(told: Snapshot) -> Iterator[str]:
    inbox = told.inbox
    for group in sorted({*inbox.groups, *inbox.kept}):
        lately = f"{_counts(inbox.groups.get(group, {}))} in the last {_window(inbox.seconds)}"
        odd = _counts(inbox.kept.get(group, {}))
        kept = f"; the inbox has {odd}{'' if inbox.exact else ' (or more)'}" if group in inbox.kept else ""
        yield _line("inbox", f"group {group}: {lately}{kept}")


def _counts(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items() if count) or "nothing"


def _window(seconds: int) -> str:
    return "minute" if seconds == 60 else f"{seconds} s"


def _relays(told: Snapshot) -> Iterator[str]:
    relays = told.relays
    have = LANES - len(relays.free_lanes)
    yield _line("relays", f"{len(relays.alive)} alive, {have} of {LANES} lanes, {relays.rate:,.1f}/s")
    for relay in relays.alive:
        yield f"  {relay.owner}: lanes {ranges(relay.lanes) or 'none'}; {relay.rate:,.1f}/s, {relay.sent:,} sent"
    if relays.alive and relays.free_lanes:
        yield f"  nobody has lanes {ranges(relays.free_lanes)}"


def _in_the_way(told: Snapshot) -> Iterator[str]:
    for outage in told.outages:
        by = f"{len(outage.relays)} of {len(told.relays.alive)} relays"
        what = f"does not take all of topic {outage.topic}" if outage.topic else "unreachable"
        yield _line("outage", f"broker {outage.broker} {what} since {_at(outage.since)} ({by}): {outage.reason}")
    for stop in told.stopped:
        what = f"{stop.group}{f' in release {stop.release}' if stop.release else ''} since {_at(stop.since)}"
        why = f"{stop.failed} of {stop.out_of} failed: {stop.error_class}: {stop.error_message}"
        yield _line("stopped", one_line(f"group {what}: {why}"))
    for suspect in told.suspects:
        what = f"message key {suspect.message_key} of group {suspect.group}, last tried {_at(suspect.since)}"
        yield _line("suspect", one_line(f"{what}: its process died up to {suspect.deaths} times with it in hand"))
    for pause in told.pauses:
        what = " ".join(part for part in (pause.scope, pause.broker, pause.topic, pause.key or "") if part)
        yield _line("paused", f"{what} since {_at(pause.since)} by {pause.actor}: {pause.reason}")
    for circuit in told.circuits:
        by = f" by {circuit.actor}" if circuit.actor else ""
        state = circuit.state.replace("_", "-")
        yield _line("circuit", f"{circuit.dependency} {state} since {_at(circuit.since)}{by}: {circuit.reason}")
    for topic, count in told.letters.held.items():
        yield _line("held", f"{count:,} keys of topic {topic}, each behind a dead letter")
    for group, count in told.letters.parked.items():
        yield _line("parked", f"{count:,} messages of group {group}, each behind one of its key that has failed")


def _half_messages(told: Snapshot) -> Iterator[str]:
    half = told.half_messages
    if not sum(half.states.values()):
        return
    prepared, undecided, committed, rolled_back = (f"{half.states[state]:,}" for state in HalfState)
    prepared = f"{prepared} prepared, the oldest for {duration(half.oldest_prepared_seconds)}"
    undecided = f"{undecided} undecided, the oldest for {duration(half.oldest_undecided_seconds)}"
    decided = f"of the newest {committed} committed, {rolled_back} rolled back"
    yield _line("half", f"{prepared}; {undecided}; {decided}{'' if half.exact else ' (or more)'}")
    for name, count in half.missing_checkers.items():
        yield f"  {count:,} wait for the checker {name!r}, which this project does not have"


def one_line(text: str) -> str:
    """Return text without line breaks, and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def _line(word: str, what: str) -> str:
    return f"{word:<10} {what}"


def _at(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds")
