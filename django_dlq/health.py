"""What needs a person now: the answer for alerts, in a few short queries."""

from collections.abc import Iterator
from typing import NamedTuple

from django_dlq import metrics


class Problem(NamedTuple):
    """One thing that will not mend itself, or has not yet."""

    what: str
    text: str


def problems() -> list[Problem]:
    """Return what is wrong: groups that are stopped in this release, and brokers that relays cannot reach.

    Not promised: that all is well when nothing is returned; a process that does not run cannot say so.
    """
    return [*_stopped(), *_outages()]


def _stopped() -> Iterator[Problem]:
    for stop in metrics.stopped():
        if stop.is_own_release:
            text = (
                f"group {stop.group} takes nothing since {stop.since.isoformat(sep=' ', timespec='seconds')}: "
                f"{stop.failed} of {stop.out_of} messages of {stop.handler} failed, the last of {stop.error_class}"
            )
            yield Problem("group_is_stopped", text)


def _outages() -> Iterator[Problem]:
    for outage in metrics.outages():
        since = outage.since.isoformat(sep=" ", timespec="seconds")
        if outage.topic:
            what = f"broker {outage.broker} does not take all of topic {outage.topic}"
            yield Problem("topic_unavailable", f"{what} since {since}: {outage.reason}")
        else:
            yield Problem("broker_unavailable", f"broker {outage.broker} unreachable since {since}: {outage.reason}")
