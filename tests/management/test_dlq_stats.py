"""The command that tells how things are."""

import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command

from django_dlq import metrics
from django_dlq.checkers import Checkers
from django_dlq.figures import Pace, Published
from django_dlq.management import stats_table
from django_dlq.management.commands import dlq_stats
from django_dlq.models import (
    BrokerOutage,
    HalfMessage,
    InboxMessage,
    OutboxMessage,
    Pause,
    RelayLane,
    RelayProcess,
    State,
    Suspect,
    in_future,
)
from tests.half_messages import answering, due
from tests.letters import consumer_letter
from tests.stopped import stop

pytestmark = [pytest.mark.django_db, pytest.mark.once]

MINUTE = timedelta(minutes=1)


def stats(*arguments: str) -> str:
    out = io.StringIO()
    call_command("dlq_stats", *arguments, stdout=out)
    return out.getvalue()


def write(count: int, **columns: object) -> None:
    OutboxMessage.objects.bulk_create(OutboxMessage(body=b"", **columns) for _ in range(count))


def run_relay(*lanes: int) -> None:
    RelayProcess.objects.create(owner="host:1", alive_until=in_future(MINUTE), sent=1234, rate=5.5)
    for lane in lanes:
        RelayLane.objects.create(lane=lane, owner="host:1", epoch=1, leased_until=in_future(MINUTE))


def test_nothing_at_all_is_told_in_a_few_lines() -> None:
    assert [line.split()[0] for line in stats().splitlines()] == ["outbox", "published", "relays", "letters"]


def test_people_read_what_waits_who_sends_and_what_is_in_the_way() -> None:
    write(1200, topic="orders", created_at=in_future(-62 * MINUTE))
    write(1, topic="payments", lane=3, due_at=in_future(MINUTE))
    run_relay(0, 1, 2, 5)
    BrokerOutage.objects.begin("host:1", "default", "timed out")
    Pause.objects.create(scope="topic", topic="orders", reason="bad deploy", actor_name="ada", digest="1")
    consumer_letter(holds_key=True)
    consumer_letter(State.PARKED, message_key="order-2")
    told = stats()

    assert "outbox     1,200 due, 1 delayed, the oldest due for 1 h 2 min\n" in told
    assert "  topic orders: 1,200 due, 0 delayed, the oldest due for 1 h 2 min\n" in told
    assert "  lane 3: 0 due, 1 delayed\n" in told
    assert "relays     1 alive, 4 of 64 lanes, 5.5/s\n" in told
    assert "  host:1: lanes 0-2, 5; 5.5/s, 1,234 sent\n" in told
    assert "  nobody has lanes 3-4, 6-63\n" in told
    assert "outage     broker default unreachable since " in told
    assert "(1 of 1 relays): timed out\n" in told
    assert "by ada: bad deploy\n" in told
    assert "held       1 keys of topic orders, each behind a dead letter\n" in told
    assert "parked     1 messages of group shipping, each behind one of its key that has failed\n" in told
    assert "letters    1 dead, 1 parked\n" in told


def test_what_went_out_is_told_by_topic_the_fastest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    paces = {f"topic-{number}": Pace(rate=number, lag_seconds=0.5, longest_lag_seconds=1) for number in range(12)}
    sent = Published(rate=66, lag_seconds=0.5, longest_lag_seconds=1, seconds=60, exact=True, topics=paces, lanes={})
    monkeypatch.setattr(metrics, "published", lambda: sent)
    told = stats()

    assert "published  66.0/s in the last minute, confirmed after 0.5 s on average, 1 s at most\n" in told
    assert told.index("  topic topic-11: 11.0/s, confirmed after 0.5 s on average") < told.index("  topic topic-10: 10")
    assert "topic-1:" not in told
    assert "  and 2 more of these\n" in told
    hurried = replace(sent, seconds=10, exact=False)
    monkeypatch.setattr(metrics, "published", lambda: hurried)
    assert "published  about 66.0/s in the last 10 s, confirmed" in stats()


def test_a_group_that_has_done_something_has_a_line() -> None:
    rows = [("1", "handled", 1), ("2", "skipped", 1), ("3", "skipped", 3600), ("4", "compensated", 3600)]
    for key, outcome, ago in rows:
        moment = in_future(-timedelta(seconds=ago))
        InboxMessage.objects.create(group="shipping", message_key=key, outcome=outcome, handled_at=moment)
    line = (
        "inbox      group shipping: 1 handled, 1 skipped in the last minute; the inbox has 2 skipped, 1 compensated\n"
    )

    assert line in stats()
    InboxMessage.objects.filter(message_key__in="12").delete()
    assert "inbox      group shipping: nothing in the last minute; the inbox has 1 skipped, 1 compensated\n" in stats()


def test_half_messages_have_a_line_if_there_are_any(no_checkers: Checkers) -> None:
    answering()
    due(2)
    HalfMessage.objects.filter(pk=due()[0].pk).update(state="undecided", prepared_at=in_future(-3 * MINUTE))
    told = stats()

    assert "half       2 prepared, the oldest for " in told
    assert re.search(r"; 1 undecided, the oldest for 3 min \d s; of the newest 0 committed, 0 rolled back\n", told)
    no_checkers.by_name.clear()
    assert "  2 wait for the checker 'charge', which this project does not have\n" in stats()


def test_the_longest_come_first_and_the_rest_is_counted() -> None:
    for number in range(13):
        write(number + 1, topic=f"topic-{number}")
    told = stats()

    assert told.index("topic topic-12: 13 due") < told.index("topic topic-11: 12 due")
    assert "topic-2:" not in told
    assert "and 3 more of these" in told


def test_an_estimate_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_dlq.models.backlog.MOST_ROWS", 3)
    monkeypatch.setattr("django_dlq.models.backlog.MOST_SCATTERED", 3)
    monkeypatch.setattr(metrics, "MOST_LETTERS", 0)
    write(20, topic="orders")
    write(20, topic="orders", due_at=in_future(MINUTE))
    consumer_letter()
    told = stats()

    assert "outbox     about 20 due, about " in told
    assert "letters    1 dead (or more)" in told


def test_programs_read_one_document() -> None:
    write(2, topic="orders")
    told = stats("--json")

    assert told.count("\n") == 1
    topics = json.loads(told)["outbox"]["topics"]
    assert {topic: share["due"] for topic, share in topics.items()} == {"orders": 2}


def test_it_can_be_watched_until_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    loops = []

    class Loop:
        def __init__(self, machine: dlq_stats.Command, *, idle: float) -> None:
            loops.append(idle)
            self.machine = machine

        def run(self) -> None:
            assert [self.machine.run_once(), self.machine.run_once()] == [0, 0]
            self.machine.close()

    monkeypatch.setattr(dlq_stats, "Loop", Loop)
    assert stats("--watch", "5").count("outbox") == 2
    assert loops == [5]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0 s"), (0.0123, "0.0123 s"), (59, "59 s"), (61, "1 min 1 s"), (3720, "1 h 2 min"), (90_000, "1 d 1 h")],
)
def test_a_time_is_told_in_its_largest_units(seconds: float, words: str) -> None:
    assert stats_table.duration(seconds) == words


def test_a_group_that_takes_nothing_is_named_with_its_cause(settings: Any) -> None:
    stop(release="r1")
    told = stats()

    assert "stopped    group shipping in release r1 since " in told
    assert "50 of 50 failed: shop.models.NoSuchProduct: product 7 is unknown\n" in told
    assert json.loads(stats("--json"))["stopped"][0]["is_own_release"] is False


def check(*arguments: str) -> tuple[int | str | None, str]:
    out = io.StringIO()
    try:
        call_command("dlq_stats", "--check", *arguments, stdout=out)
    except SystemExit as ended:
        return ended.code, out.getvalue()
    return 0, out.getvalue()


def test_a_check_ends_with_status_1_if_anything_needs_a_person() -> None:
    assert check() == (0, "all is well\n")
    stop()
    run_relay()
    BrokerOutage.objects.begin("host:1", "default", "timed out")
    for arguments in ([], ["--json"]):
        status, told = check(*arguments)
        assert status == 1
        assert "group shipping takes nothing since " in told
        assert "broker default unreachable since " in told


@pytest.mark.parametrize("runs", [True, False])
def test_a_message_that_waits_while_no_relay_runs_needs_a_person(runs: bool) -> None:
    write(1, topic="orders", created_at=in_future(-MINUTE))
    write(1, topic="orders", created_at=in_future(-3 * MINUTE), due_at=in_future(-MINUTE))
    write(1, topic="orders", created_at=in_future(-3 * MINUTE), due_at=in_future(MINUTE))
    assert check()[0] == 0  # nothing has been due for long

    OutboxMessage.objects.filter(due_at=None).update(created_at=in_future(-3 * MINUTE))
    if runs:
        run_relay()
        assert check()[0] == 0
    else:
        status, told = check()
        assert status == 1
        assert told.startswith("nobody_sends: no relay runs, and a message has been due for 18")


def test_where_debezium_sends_no_relay_is_missed(settings: Any) -> None:
    settings.DLQ_OUTBOX_RETENTION = MINUTE
    write(1, topic="orders", created_at=in_future(-3 * MINUTE))
    assert check()[0] == 0


def test_an_outbox_that_cannot_be_read_needs_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "first_due", lambda: None)
    status, told = check()
    assert status == 1
    assert told.startswith("outbox_unreadable: the outbox cannot be read within a second")


def test_a_group_that_is_stopped_in_another_release_is_named_but_alarms_nobody(settings: Any) -> None:
    settings.DLQ_RELEASE = "r2"
    stop(release="r1")
    status, told = check()

    assert status == 0  # that release may have no process any more
    assert told.startswith("group_is_stopped_elsewhere: group shipping in release r1 takes nothing since ")
    assert [problem["is_urgent"] for problem in json.loads(check("--json")[1])] == [False]


def test_where_no_release_is_set_a_group_that_is_stopped_in_any_needs_a_person(settings: Any) -> None:
    stop(release="r1")
    status, told = check()

    assert status == 1
    assert told.startswith("group_is_stopped: group shipping in release r1 takes nothing since ")


def test_messages_that_seem_to_kill_their_process_are_named() -> None:
    row = {"group": "shipping", "topic": "orders", "partition": 0, "handler": "pack", "owner": "host:1"}
    for number in (1, 2):
        Suspect.objects.create(**row, offset=number, message_id=f"{number}", message_key=f"A-{number}", deaths=number)
    told = stats()
    assert "suspect    message key A-2 of group shipping, last tried " in told
    assert "its process died up to 2 times with it in hand" in told
    assert "A-1" not in told  # it was in hand with others at a death, or is just now
    assert json.loads(stats("--json"))["suspects"][0]["deaths"] == 2
