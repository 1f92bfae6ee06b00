"""Messages that take their process with them each time, and people who kill processes that do nothing wrong."""

import random
import time
from collections import Counter

import pytest

from django_dlq.models import DeadLetter, State, Suspect, TakenPartition
from tests.scenarios import KILLS
from tests.scenarios.conftest import MakeStage
from tests.scenarios.feed import Feed
from tests.scenarios.stage import Actor, Stage
from tests.shop.models import Box

pytestmark = [pytest.mark.kafka, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(
    ("handler", "limit"),
    [({"SCENARIO_CONCURRENCY": "1"}, 3), ({"SCENARIO_CONCURRENCY": "8"}, 2), ({"SCENARIO_BATCH_SIZE": "50"}, 2)],
    ids=["one thread", "eight threads", "batches"],
)
def test_a_message_that_kills_its_process_is_a_dead_letter_after_some_deaths_and_all_others_are_handled_once(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch, handler: dict[str, str], limit: int
) -> None:
    for name, value in (handler | {"SCENARIO_DEATHS": str(limit)}).items():
        monkeypatch.setenv(name, value)
    stage = make_stage(kafka, partitions=2)
    feed = Feed(stage, keys=50, repeats=0, failures=0)
    feed.send(499)
    feed.put("deadly:1", KILLS)
    feed.send(500)
    children = [stage.manage("dlq_consume"), stage.manage("dlq_consume")]
    deaths = 0

    def is_done() -> bool:
        nonlocal deaths
        for place, child in enumerate(children):
            if child.has_ended:
                deaths += 1
                children[place] = stage.manage("dlq_consume")
        return stage.is_consumed()

    stage.until(is_done)
    feed.send(100)  # what a dead one had taken is noticed by whoever gets the next message from there
    stage.until(stage.is_consumed)
    letter = DeadLetter.objects.get()
    assert (letter.message_key, letter.state) == ("deadly:1", State.DEAD)
    assert letter.error_class == "django_dlq.exceptions.ProcessDied"
    assert letter.error_message.startswith(f"its process died {limit} times while it was handled")
    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(feed.orders)
    assert deaths == limit + 1  # of the first nobody knows what it died of
    for child in children:
        child.stop()
    assert not Suspect.objects.exists()
    assert not TakenPartition.objects.exists()


def test_healthy_consumers_may_be_killed_every_second_and_no_message_is_blamed(
    kafka: str, make_stage: MakeStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_CONCURRENCY", "8")
    # One more than by default: chance may let two kills in a row meet the moments in which one suspect is handled.
    monkeypatch.setenv("SCENARIO_DEATHS", "4")
    # However fast the machine, something is in hand whenever somebody is killed.
    monkeypatch.setenv("SCENARIO_SECONDS", "0.05")
    stage = make_stage(kafka, partitions=4)
    feed, chance = Feed(stage, repeats=0.1, failures=0), random.Random(7)
    children = [stage.manage("dlq_consume") for _ in range(3)]
    for number in range(40):
        if number > 8 and has_met_a_suspect(stage):
            break
        feed.send(300)
        victim = children[number % 3]
        stage.until(lambda victim=victim: has_begun(victim, feed))  # whoever is killed while it starts shows nothing
        time.sleep(1 + chance.random() / 5)  # that is the scenario
        victim.process.kill()
        children[number % 3] = stage.manage("dlq_consume")
    stage.until(stage.is_consumed)
    assert not DeadLetter.objects.exists()
    assert Counter(Box.objects.values_list("order", flat=True)) == Counter(feed.orders)
    assert has_met_a_suspect(stage)


def has_met_a_suspect(stage: Stage) -> bool:
    """Tell whether a message was in the hands of one that was killed when his successors had just been given it."""
    return any(actor.has_said("deaths of processes with message key") for actor in stage.actors)


def has_begun(consumer: Actor, feed: Feed) -> bool:
    """Tell whether a consumer has been given messages, and send some until it has."""
    feed.send(10)
    return TakenPartition.objects.filter(owner__contains=f":{consumer.process.pid}:").exists()
