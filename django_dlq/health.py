"""What needs a person now: the answer for alerts, in a few short queries."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from django_dlq import debezium, metrics
from django_dlq.conf import conf

UNSENT: Final = 120.0
"""Seconds for which a message may wait while no relay runs; where Celery runs them there are pauses."""


class Problem(NamedTuple):
    """One thing that will not mend itself, or has not yet. `is_urgent`: whether it surely needs a person."""

    what: str
    text: str
    is_urgent: bool = True


def problems() -> list[Problem]:
    """Return what is wrong: groups that are stopped, brokers that relays cannot reach, and messages that nobody sends.

    A group that is stopped in another release may have no process there any more, so it is not urgent; unless
    DLQ_RELEASE is not set here, and nobody can tell which release runs. Not promised: that all is well when nothing is
    returned; a process that does not run cannot say so.
    """
    return [*_stopped(), *_outages(), *_unsent()]


def _stopped() -> Iterator[Problem]:
    for stop in metrics.stopped():
        is_urgent = stop.is_own_release or not conf.DLQ_RELEASE
        where = "" if stop.is_own_release else f" in release {stop.release or '(none)'}"
        text = (
            f"group {stop.group}{where} takes nothing since {stop.since.isoformat(sep=' ', timespec='seconds')}: "
            f"{stop.failed} of {stop.out_of} messages of {stop.handler} failed, the last of {stop.error_class}"
        )
        yield Problem("group_is_stopped" if is_urgent else "group_is_stopped_elsewhere", text, is_urgent)


def _outages() -> Iterator[Problem]:
    for outage in metrics.outages():
        since = outage.since.isoformat(sep=" ", timespec="seconds")
        if outage.topic:
            what = f"broker {outage.broker} does not take all of topic {outage.topic}"
            yield Problem("topic_unavailable", f"{what} since {since}: {outage.reason}")
        else:
            yield Problem("broker_unavailable", f"broker {outage.broker} unreachable since {since}: {outage.reason}")


def _unsent() -> Iterator[Problem]:
    if debezium.is_used():
        return
    waits = metrics.first_due_seconds()
    if waits is None:
        text = "the outbox cannot be read within a second: is it locked, or is a transaction open for long?"
        yield Problem("outbox_unreadable", text)
    elif waits > UNSENT and not metrics.relays().alive:
        yield Problem("nobody_sends", f"no relay runs, and a message has been due for {waits:.0f} seconds")
