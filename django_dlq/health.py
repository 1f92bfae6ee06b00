"""What needs a person now: the answer for alerts, in a few short queries."""

from collections.abc import Iterator
from typing import NamedTuple

from django_dlq import metrics
from django_dlq.conf import conf


class Problem(NamedTuple):
    """One thing that will not mend itself, or has not yet. `is_urgent`: whether it surely needs a person."""

    what: str
    text: str
    is_urgent: bool = True


def problems() -> list[Problem]:
    """Return what is wrong: groups that are stopped, and brokers that relays cannot reach.

    A group that is stopped in another release may have no process there any more, so it is not urgent; unless
    DLQ_RELEASE is not set here, and nobody can tell which release runs. Not promised: that all is well when nothing is
    returned; a process that does not run cannot say so.
    """
    return [*_stopped(), *_outages()]


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
