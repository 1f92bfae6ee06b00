"""Relay and consume inside a test: `drain()`."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from typing import Literal

from django_dlq.brokers import brokers
from django_dlq.conf import conf
from django_dlq.consumer import Consumer
from django_dlq.consuming.rates import UNLIMITED
from django_dlq.exceptions import BrokerUnavailable
from django_dlq.models import DatabaseNow, DeadLetter, InboxMessage, State
from django_dlq.registry import handlers
from django_dlq.relay import Relay
from django_dlq.retries import Retries

RetriesToRun = Literal["due", "now"]


class DrainError(RuntimeError):
    """The messages could not be drained; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """What `drain` did.

    relayed: how many messages left the outbox. handled: how often a handler ran to its end. letters: all dead letters
    that are open afterwards, those to be retried included; empty if all went well.
    """

    relayed: int
    handled: int
    letters: tuple[DeadLetter, ...]


def drain(*, max_rounds: int = 100, retries: RetriesToRun = "due") -> Drained:
    """Send the outbox, let every group handle its messages, and make retries, until there is nothing left to do.

    It runs the same relay, consumers and retries as in production, in this thread and on this database connection, so
    it works inside TestCase. What handlers publish is drained too. Messages whose delay has not passed stay in the
    outbox. retries: "due" makes the attempts whose time has come, "now" all of them without waiting, to the end of
    their ladder.

    Raises DrainError if it does not come to an end in `max_rounds`, if another relay is running, or if
    DLQ_BROKERS names a broker that would carry the messages out of this process; BrokerUnavailable if the test has
    told the broker to be down. Not promised: the order in which groups take their turns.
    """
    _refuse_real_brokers()
    handled, relayed = InboxMessage.objects.count(), 0
    with ExitStack() as stack:
        relay = stack.enter_context(closing(Relay()))
        if not relay.has_all_lanes():
            raise DrainError("another relay has lanes; drain() works only while none is running")
        consumers = [stack.enter_context(closing(Consumer(group, inline=True))) for group in handlers.groups()]
        for _ in range(max_rounds):
            sent = _send(relay)
            settled = sum(_exhaust(partial(consumer.run_once, timeout=0)) for consumer in consumers)
            relayed += sent
            if not sent + settled + _retry(retries):
                handled = InboxMessage.objects.count() - handled
                return Drained(relayed=relayed, handled=handled, letters=tuple(DeadLetter.objects.open()))
    raise DrainError(
        f"there was still something to do after {max_rounds} rounds; does a handler publish what it handles itself?"
    )


def _send(relay: Relay) -> int:
    sent = _exhaust(relay.run_once)
    if troubles := relay.unavailable():
        raise BrokerUnavailable("; ".join(f"broker {alias}: {reason}" for alias, reason in troubles.items()))
    return sent


def _exhaust(run_once: Callable[[], int]) -> int:
    total = 0
    while done := run_once():
        total += done
    return total


def _retry(which: RetriesToRun) -> int:
    if which == "now":
        DeadLetter.objects.filter(state=State.RETRYING).update(next_attempt_at=DatabaseNow())
    return Retries(rates=UNLIMITED).run_once()


def _refuse_real_brokers() -> None:
    for alias in conf.DLQ_BROKERS:
        if brokers[alias].is_durable:
            raise DrainError(
                f"DLQ_BROKERS[{alias!r}] is a {type(brokers[alias]).__name__}, which carries messages out of this "
                "process; use django_dlq.brokers.memory.MemoryBroker in the settings of your tests"
            )
