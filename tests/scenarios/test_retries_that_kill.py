"""Retries that take their process with them each time."""

from collections import Counter

import pytest

from django_dlq.models import DatabaseNow, DeadLetter, State
from tests.scenarios import KILLS_AGAIN, STUMBLES
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.scenarios.stage import Stage
from tests.shop.models import Box

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]

DEATHS = 3


def test_a_retry_that_kills_its_process_is_a_dead_letter_after_some_deaths_and_all_others_are_handled_once(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_CONCURRENCY", "4")
    monkeypatch.setenv("SCENARIO_DEATHS", str(DEATHS))
    # Long enough for the offsets of fresh messages to pass before: these are not what is to come again.
    monkeypatch.setenv("SCENARIO_RETRY", "3")
    stage = make_stage(kafka, partitions=2)
    feed = Feed(stage, keys=50, repeats=0, failures=0.1, stumbles=[STUMBLES])
    feed.send(100)
    feed.put("deadly:1", KILLS_AGAIN)
    feed.send(100)
    deaths = restarted_until_settled(stage)
    letter = DeadLetter.objects.open().get()
    assert (letter.message_key, letter.state, letter.attempts) == ("deadly:1", State.DEAD, 2)
    assert letter.error_class == "django_dlq.exceptions.ProcessDied"
    assert letter.error_message.startswith(f"its process died {DEATHS} times while it was handled")
    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(feed.orders)
    assert deaths == DEATHS


def restarted_until_settled(stage: Stage) -> int:
    """Run a consumer, and another one after each death, until all is handled or dead; return how many died."""
    children = [stage.manage("dlq_consume")]

    def is_done() -> bool:
        if children[-1].has_ended:
            # The time that nobody else takes a retry that was in hand passes.
            DeadLetter.objects.filter(state=State.RETRYING).update(next_attempt_at=DatabaseNow())
            children.append(stage.manage("dlq_consume"))
        return stage.is_consumed() and not DeadLetter.objects.filter(state=State.RETRYING).exists()

    stage.until(is_done)
    children[-1].stop()
    assert children[-1].process.returncode == 0, children[-1]
    return len(children) - 1
