"""Anything may happen to relays, in any order; the promises of model.py hold all the time."""

import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import override_settings
from hypothesis import HealthCheck, Phase, settings, strategies
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_dlq import composing, deadletters, outbox, switches
from django_dlq.brokers import brokers
from django_dlq.conf import conf
from django_dlq.message import Message
from django_dlq.models import DeadLetter, OutboxMessage, Pause, RelayLane
from django_dlq.relay import Relay
from tests.scenarios.model import BROKER, HOLDING, TOPICS, Answer, Clock, Crash, Failing, Known, Promises

EXAMPLES = int(os.environ.get("DLQ_MODEL_EXAMPLES", "0"))
"""How many stories to try, other ones each time; without it, a few and always the same."""

FEW, STEPS = 25 if connection.vendor == "sqlite" else 10, 30
"""How many, and how long each is; where each statement is a journey they take longer."""

NEVER = float("inf")
TICK = 0.01
"""Seconds from one batch to the next."""

places = strategies.integers(0, 2)
topics = strategies.sampled_from(TOPICS)
keys = strategies.sampled_from(["a", "b", "c"])
answers = strategies.lists(strategies.sampled_from([*Answer, Answer.CONFIRMED]), max_size=8)
orders = strategies.lists(
    strategies.builds(
        Message,
        topics,
        strategies.just("body"),
        key=strategies.sampled_from([None, "a", "a", "b", "c"]),
        priority=strategies.sampled_from([0, 0, 0, 5]),
        delay=strategies.sampled_from([None, None, None, None, timedelta(seconds=2), timedelta(seconds=40)]),
        expires_in=strategies.sampled_from([None, None, None, None, timedelta(seconds=20)]),
    ),
    min_size=1,
    max_size=6,
)
"""What is published in one transaction."""


class Relays(RuleBasedStateMachine):
    """Up to three relays on one outbox, and everything that may happen to them."""

    @initialize()
    def begin(self) -> None:
        """Begin with an empty outbox, in a transaction that the end rolls back."""
        self.patches = pytest.MonkeyPatch()
        self.example = transaction.atomic()
        self.example.__enter__()
        self.clock = Clock()
        self.clock.install(self.patches)
        # Always the same, and so are the lanes of messages without a key.
        numbers = itertools.count(1)
        self.patches.setattr(composing, "new_message_id", lambda: f"message-{next(numbers)}")
        self.promises = Promises(self.clock)
        self.broker: Any = brokers["default"]
        self.broker.promises, self.broker.depth = self.promises, len(connection.savepoint_ids)
        self.broker.reset()
        self.relays: list[Relay | None] = [None, None, None]
        self.drawn: list[tuple[OutboxMessage, Known]] = []

    # What applications do

    @rule(orders=orders, fails=strategies.booleans())
    def publish(self, orders: list[Message], fails: bool = False) -> None:
        """Publish in one transaction, which may fail."""
        began = self.clock.now()
        with transaction.atomic():
            rows = outbox.publish_many(orders)
            transaction.set_rollback(fails)
        for message, row in () if fails else zip(orders, rows, strict=True):
            known = Known(
                thread=None if message.key is None else (message.topic, message.key),
                is_ordered=message.delay is None,
                not_before=began + seconds(message.delay, 0),
                not_after=began + seconds(message.expires_in, NEVER),
            )
            self.promises.commit(row, known)

    @rule(topic=topics)
    def draw_an_id_early(self, topic: str) -> None:
        """Let a transaction draw an id that it commits later, by deleting its row for the time being."""
        began = self.clock.now()
        with transaction.atomic():
            row = outbox.publish(topic, "body", key=f"late-{len(self.promises.committed)}-{len(self.drawn)}")
        row = OutboxMessage.objects.get(pk=row.pk)  # with what the database has computed
        OutboxMessage.objects.filter(pk=row.pk).delete()
        self.drawn.append((row, Known(thread=None, is_ordered=False, not_before=began, not_after=NEVER)))

    @precondition(lambda self: self.drawn)
    @rule()
    def commit_late(self) -> None:
        """Commit what drew its id early."""
        row, known = self.drawn.pop(0)
        row.save(force_insert=True)
        self.promises.commit(row, known)

    # What relays do

    @rule(place=places, orders=orders, answers=answers)
    def step(self, place: int, orders: list[Message], answers: list[Answer]) -> None:
        """Let a relay do one batch, with a broker in whatever state."""
        self.publish(orders)
        self.broker.answers = answers
        self.run(place)

    @rule(place=places)
    def leave(self, place: int) -> None:
        """Stop a relay in good order."""
        if relay := self.relays[place]:
            relay.close()
        self.relays[place] = None

    @rule(place=places, orders=orders, sent=strategies.booleans())
    def crash_at_the_broker(self, place: int, orders: list[Message], sent: bool) -> None:
        """Kill a relay before the broker has its batch, or before the answer comes."""
        self.publish(orders)

        def die() -> None:
            raise Crash

        setattr(self.broker, "after" if sent else "before", die)
        with suppress(Crash):
            self.run(place)
        self.relays[place] = None

    @rule(place=places, orders=orders, number=strategies.integers(1, 8), after=strategies.booleans())
    def crash_at_the_database(self, place: int, orders: list[Message], number: int, after: bool) -> None:
        """Kill a relay before or after a statement."""
        self.publish(orders)
        with suppress(Crash):
            self.run_failing(place, Failing(number, Crash(), after=after))
        self.relays[place] = None

    @rule(place=places, orders=orders, number=strategies.integers(1, 8), after=strategies.booleans())
    def lose_the_database(self, place: int, orders: list[Message], number: int, after: bool) -> None:
        """Let a statement fail, so that nobody knows whether it was done; the relay goes on."""
        self.publish(orders)
        with suppress(OperationalError):
            self.run_failing(place, Failing(number, OperationalError("server closed the connection"), after=after))

    @rule(place=places, orders=orders, sent=strategies.booleans(), answers=answers)
    def hang_while_others_take_over(self, place: int, orders: list[Message], sent: bool, answers: list[Answer]) -> None:
        """Freeze a relay past its lease while it sends, let the others work, and continue it."""
        self.publish(orders)
        taken: dict[str, set[int]] = {}

        def hang() -> None:
            self.clock.wait(conf.DLQ_RELAY_LEASE.total_seconds() + 1)
            self.broker.answers = answers
            for other in [self.relay(other) for other in range(3) if other != place] * 2:
                self.clock.wait(TICK)
                other.run_once()
            taken["rows"] = rows_of_others(zombie)

        self.promises.is_interrupted = True
        zombie = self.relay(place)
        setattr(self.broker, "after" if sent else "before", hang)
        self.run(place)
        self.promises.is_interrupted = False
        left = set(OutboxMessage.objects.values_list("pk", flat=True))
        assert taken.get("rows", set()) <= left, "a completion of an old epoch has changed something"

    # What people and time do

    @rule(seconds=strategies.sampled_from([0.1, 1.5, 12.0, 31.0, 45.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.wait(seconds)

    @precondition(lambda self: not self.promises.paused)
    @rule(topic=topics, key=strategies.none() | keys)
    def pause(self, topic: str, key: str | None) -> None:
        """Pause a topic or a key."""
        switches.pause(topic=topic, key=key, actor="ann", reason="a test")
        self.promises.paused.setdefault(topic if key is None else (topic, key), self.clock.now())

    @precondition(lambda self: self.promises.paused)
    @rule()
    def resume_all(self) -> None:
        """Resume whatever is paused."""
        for paused in Pause.objects.all():
            switches.resume(topic=paused.topic, key=paused.key, actor="ann", reason="a test")
        self.promises.paused.clear()

    @rule(replays=strategies.booleans())
    def settle_letters(self, replays: bool) -> None:
        """Replay or discard what holds a key."""
        for letter in DeadLetter.objects.holding().order_by("pk"):
            if letter.state != "dead":
                continue
            if replays:
                deadletters.replay(letter, actor="ann", reason="a test")
                self.promises.replay(letter.message_id)
            else:
                self.promises.settled.add(letter.message_id)
                deadletters.discard(letter, actor="ann", reason="a test")

    # What must hold

    @invariant()
    def promises_are_kept(self) -> None:
        """Look at everything."""
        if hasattr(self, "promises"):
            self.promises.check()

    def teardown(self) -> None:
        """Let everything be well again, and see that all arrives."""
        try:
            self.heal()
        finally:
            self.example.__exit__(Rollback, Rollback(), None)
            self.patches.undo()

    def heal(self) -> None:
        """Work until nothing is left."""
        self.broker.reset()
        self.resume_all()
        while self.drawn:
            self.commit_late()
        for pause in [2.0] * 3 + [15.0] * 50:
            self.clock.wait(pause)
            self.settle_letters(replays=True)
            for place in range(3):
                self.run(place)
            self.promises.check()
            if not OutboxMessage.objects.exists() and not DeadLetter.objects.holding().exists():
                break
        assert not OutboxMessage.objects.exists(), list(OutboxMessage.objects.values())
        self.promises.check()

    def relay(self, place: int) -> Relay:
        """Return the relay at a place, a new one if there is none."""
        relay = self.relays[place] = self.relays[place] or self.make()
        return relay

    def make(self) -> Relay:
        """Return a new relay, one that does one thing after the other."""
        return Relay()

    def run(self, place: int) -> None:
        """Let the relay at a place do one batch; what the broker was told to do it does now or never."""
        self.clock.wait(TICK)
        try:
            self.relay(place).run_once()
        finally:
            self.broker.reset()

    def run_failing(self, place: int, failing: Callable[..., Any]) -> None:
        """Run a relay with a database that fails."""
        try:
            with connection.execute_wrapper(failing):
                self.run(place)
        finally:
            # The example is one transaction; for the relay each statement was committed at once.
            connection.needs_rollback = False


def seconds(span: timedelta | None, otherwise: float) -> float:
    """Return the seconds of a span that may not be given."""
    return otherwise if span is None else span.total_seconds()


class Rollback(Exception):
    """Ends an example."""


def rows_of_others(relay: Relay) -> set[int]:
    """Return what is in the lanes that other relays have."""
    lanes = RelayLane.objects.exclude(owner__in=["", relay.owner]).values_list("lane", flat=True)
    return set(OutboxMessage.objects.filter(lane__in=list(lanes)).values_list("pk", flat=True))


def tell_stories(machine: type[RuleBasedStateMachine]) -> None:
    """Try stories until one breaks a promise, or there were enough."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES or FEW,
            stateful_step_count=STEPS,
            derandomize=not EXAMPLES,
            # To find the shortest story that fails may take minutes.
            phases=list(Phase) if EXAMPLES else [Phase.explicit, Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.django_db
@override_settings(DLQ_BROKERS={"default": {"BACKEND": BROKER}}, DLQ_HOLD_TOPICS=[HOLDING], DLQ_RELAY_BATCH=6)
def test_whatever_happens_to_relays_the_promises_are_kept() -> None:
    tell_stories(Relays)
