"""Anything may happen to relays that read ahead and complete beside, as they do in production."""

import pytest
from django.test import override_settings
from hypothesis import strategies
from hypothesis.stateful import initialize, rule

from django_dlq.message import Message
from tests.scenarios.model import BROKER, HOLDING, Answer
from tests.scenarios.stepped import THREADS, SteppedRelay, wait_for_threads
from tests.scenarios.test_relay_model import TICK, Relays, answers, orders, places, tell_stories

PAGE = 3
"""Fewer than are often published at once, so that there is something to be read ahead."""


class PipelinedRelays(Relays):
    """What a relay's threads were asked for they do when it cannot wait any longer, or when the story says so."""

    is_healing = False

    @initialize()
    def begin(self) -> None:
        super().begin()
        wait_for_threads(self.patches)

    @rule(place=places, thread=strategies.sampled_from(THREADS), most=strategies.integers(1, 2), answers=answers)
    def let_a_thread_work(self, place: int, thread: str, most: int, answers: list[Answer]) -> None:
        """Let a thread do what it was asked for, whatever has happened since."""
        if relay := self.relays[place]:
            self.clock.wait(TICK)
            self.broker.answers = answers
            relay.threads[thread].work(most)
            self.broker.reset()

    @rule(place=places, batches=strategies.lists(strategies.tuples(orders, answers), min_size=2, max_size=6))
    def go_on(self, place: int, batches: list[tuple[list[Message], list[Answer]]]) -> None:
        """Let a relay work for a while, so that most of what it sends was read ahead."""
        for published, answered in batches:
            self.step(place, published, answered)

    @rule(place=places, thread=strategies.sampled_from(THREADS), is_prompt=strategies.booleans())
    def hurry_a_thread(self, place: int, thread: str, is_prompt: bool) -> None:
        """Let a thread from now on do at once what it is asked for, or wait as long as it can."""
        self.relay(place).threads[thread].is_prompt = is_prompt

    def heal(self) -> None:
        self.is_healing = True
        super().heal()

    def make(self) -> SteppedRelay:
        return SteppedRelay(self.promises)

    def run(self, place: int) -> None:
        super().run(place)
        if self.is_healing:
            for thread in self.relays[place].threads.values():
                thread.work()


@pytest.mark.django_db
@override_settings(DLQ_BROKERS={"default": {"BACKEND": BROKER}}, DLQ_HOLD_TOPICS=[HOLDING], DLQ_RELAY_BATCH=PAGE)
def test_whatever_happens_to_relays_that_read_ahead_the_promises_are_kept() -> None:
    tell_stories(PipelinedRelays)
