from datetime import UTC, datetime, time, timedelta
from itertools import count

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_dlq import inbox, retention
from django_dlq.models import (
    DeadLetter,
    DeadLetterEvent,
    HalfMessage,
    HalfMessageCheck,
    InboxMessage,
    Kind,
    OutboxMessage,
    PublishedMessage,
    State,
    StoppedGroup,
    Suspect,
    TakenPartition,
    in_future,
)
from django_dlq.retention import Retention
from tests.half_messages import answering, due
from tests.letters import consumer_letter
from tests.stopped import stop

pytestmark = pytest.mark.django_db

numbers = count(1)


def published(days, waited=0):
    return PublishedMessage.objects.create(
        outbox_id=next(numbers),
        created_at=in_future(-timedelta(days=days + waited)),
        published_at=in_future(-timedelta(days=days)),
    )


def handled(days, key="1"):
    return InboxMessage.objects.create(
        group="g", message_key=key, message_id="1", topic="t", handled_at=in_future(-timedelta(days=days))
    )


def settled(days, state=State.RESOLVED, **columns):
    return consumer_letter(state, closed_at=in_future(-timedelta(days=days)), **columns)


@pytest.mark.parametrize("state", State.values)
def test_a_message_is_remembered_as_long_as_a_letter_of_it_could_be_sent_again(state):
    kept = handled(1000, "order-1")
    handled(1000, "another")
    InboxMessage.objects.update(group="shipping")
    consumer_letter(state, message_key="order-1", closed_at=in_future(-timedelta(days=29)))
    consumer_letter(state, message_key="another", group="billing", closed_at=in_future(-timedelta(days=29)))
    Retention().run_once()
    assert list(InboxMessage.objects.all()) == [kept]

    DeadLetter.objects.all().delete()
    Retention().run_once()
    assert not InboxMessage.objects.exists()


def test_a_stop_is_kept_as_long_as_it_stands_and_as_a_settled_letter_after_that():
    rows = [stop(group) for group in ("standing", "old", "new")]
    for row, days in zip(rows[1:], (31, 29), strict=True):
        row.end(reason="mended")
        StoppedGroup.objects.filter(pk=row.pk).update(resumed_at=in_future(-timedelta(days=days)))
    StoppedGroup.objects.update(stopped_at=in_future(-timedelta(days=1000)))
    Retention().run_once()

    assert set(StoppedGroup.objects.values_list("group", flat=True)) == {"standing", "new"}


def left_behind(days, **columns):
    """Write what a consumer that was killed so long ago had in hand."""
    columns = {"group": "shipping", "topic": "orders", "partition": next(numbers), "owner": "gone"} | columns
    moment = in_future(-timedelta(days=days))
    suspect = Suspect.objects.create(
        **columns, offset=1, message_id="1", message_key="1", handler="pack", begun_at=moment
    )
    return suspect, TakenPartition.objects.create(**columns, taken_at=moment)


def test_what_a_dead_consumer_left_in_a_topic_that_nobody_consumes_any_more_goes(registry):
    new = left_behind(29)
    left_behind(31)
    assert Retention().run_once() == 2
    assert (Suspect.objects.get(), TakenPartition.objects.get()) == new


def test_a_partition_may_be_in_the_same_hands_for_long(registry):
    inbox.handler("orders", "bills", group="shipping")(print)
    _, mine = left_behind(1000)
    left_behind(1000, topic="returns")
    left_behind(1000, group="billing")
    Retention().run_once()
    assert TakenPartition.objects.get() == mine
    assert not Suspect.objects.exists()


def test_what_is_older_than_its_retention_is_deleted():
    young = {published(6), handled(89, "young"), settled(29), settled(29, State.DISCARDED)}
    published(8)
    handled(91)
    settled(31)
    settled(31, State.DISCARDED)

    assert Retention().run_once() == 4
    left = {*PublishedMessage.objects.all(), *InboxMessage.objects.all(), *DeadLetter.objects.all()}
    assert left == young
    assert Retention().run_once() == 0


@pytest.mark.parametrize("state", [State.DEAD, State.RETRYING, State.REPLAYING])
def test_an_open_letter_is_never_deleted_however_old(state):
    letter = settled(9999, state, first_failed_at="2000-01-01T00:00:00Z", last_failed_at="2000-01-01T00:00:00Z")

    assert Retention().run_once() == 0
    assert DeadLetter.objects.get() == letter


def test_the_outbox_is_never_pruned():
    OutboxMessage.objects.create(topic="orders", created_at="2000-01-01T00:00:00Z")

    assert Retention().run_once() == 0
    assert OutboxMessage.objects.exists()


@pytest.mark.parametrize("setting", ["DLQ_PUBLISHED_RETENTION", "DLQ_INBOX_RETENTION", "DLQ_CLOSED_RETENTION"])
def test_none_keeps_for_ever_and_the_others_are_pruned(settings, setting):
    rows = {
        "DLQ_PUBLISHED_RETENTION": published(9999),
        "DLQ_INBOX_RETENTION": handled(9999),
        "DLQ_CLOSED_RETENTION": settled(9999),
    }
    setattr(settings, setting, None)

    assert Retention().run_once() == 2
    assert type(rows[setting]).objects.get() == rows[setting]


def test_rows_are_deleted_in_steps_the_oldest_first(monkeypatch):
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 2)
    rows = [published(8) for _ in range(5)]

    assert Retention().run_once() == 2
    assert list(PublishedMessage.objects.order_by("pk")) == rows[2:]
    assert [Retention().run_once() for _ in range(3)] == [2, 1, 0]


def test_a_letter_goes_with_its_timeline_and_leaves_its_correction():
    original = settled(31)
    DeadLetterEvent.objects.note(original, Kind.EDITED, actor="ana")
    copy = consumer_letter(State.DEAD, corrects=original)
    Retention().run_once()

    copy.refresh_from_db()
    assert (copy.corrects, DeadLetterEvent.objects.count()) == (None, 0)


def test_closing_has_nothing_to_give_back():
    machine = Retention()
    machine.close()
    published(8)
    assert machine.run_once() == 1


def test_messages_that_waited_long_do_not_keep_those_behind_them(monkeypatch):
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 2)
    waited = [published(1, waited=30) for _ in range(5)]
    old = [published(8) for _ in range(3)]
    young = published(6)
    machine = Retention()

    assert machine.run_once() + machine.run_once() == len(old)
    assert machine.run_once() == 0
    assert list(PublishedMessage.objects.order_by("pk")) == [*waited, young]


def test_the_walk_begins_anew_when_it_has_come_to_its_end(monkeypatch):
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 1)
    late = published(1, waited=30)
    published(8)
    machine = Retention()
    assert [machine.run_once(), machine.run_once()] == [1, 0]
    PublishedMessage.objects.filter(pk=late.pk).update(published_at=in_future(-timedelta(days=8)))

    assert machine.run_once() == 1
    assert not PublishedMessage.objects.exists()


def test_where_nothing_is_outdated_only_the_beginning_is_read(monkeypatch):
    monkeypatch.setattr(retention, "ROWS_PER_STEP", 2)
    for _ in range(20):
        published(6)
    with CaptureQueriesContext(connection) as captured:
        assert Retention().run_once() == 0

    assert len([query for query in captured.captured_queries if "publishedmessage" in query["sql"]]) == 1


def at(monkeypatch, hour, minute=0):
    moment = datetime(2026, 1, 5, hour, minute, tzinfo=UTC)
    monkeypatch.setattr(retention, "database_now", lambda using: moment)


DAY, NIGHT = (time(9), time(17, 30)), (time(22), time(5))


@pytest.mark.parametrize(
    ("window", "clock", "may"),
    [
        (DAY, (8, 59), False),
        (DAY, (9, 0), True),
        (DAY, (17, 29), True),
        (DAY, (17, 30), False),
        (NIGHT, (21, 59), False),
        (NIGHT, (22, 0), True),
        (NIGHT, (4, 59), True),
        (NIGHT, (5, 0), False),
        (NIGHT, (12, 0), False),
    ],
)
def test_nothing_goes_outside_the_window(settings, monkeypatch, window, clock, may):
    settings.TIME_ZONE, settings.DLQ_PRUNE_WINDOW = "UTC", window
    at(monkeypatch, *clock)
    published(8)

    assert Retention().run_once() == may


def test_the_window_is_in_the_project_s_time_zone(settings, monkeypatch):
    settings.TIME_ZONE, settings.DLQ_PRUNE_WINDOW = "Asia/Tokyo", NIGHT
    at(monkeypatch, 14)  # 23:00 in Tokyo
    published(8)

    assert Retention().run_once() == 1


def test_the_switch_stops_it_and_the_command_says_so(settings, capsys):
    settings.DLQ_PRUNE = False
    published(8)
    call_command("dlq_prune", once=True)

    assert capsys.readouterr().out == "0 rows deleted: DLQ_PRUNE is False\n"
    assert PublishedMessage.objects.exists()


def test_the_command_says_that_it_is_not_the_time(settings, monkeypatch, capsys):
    settings.TIME_ZONE, settings.DLQ_PRUNE_WINDOW = "UTC", NIGHT
    at(monkeypatch, 12, 5)
    call_command("dlq_prune", once=True)

    assert capsys.readouterr().out == "0 rows deleted: it is 12:05, outside DLQ_PRUNE_WINDOW\n"


def test_it_rests_between_batches_as_long_as_the_settings_say(settings):
    settings.DLQ_PRUNE_PAUSE = timedelta(seconds=2.5)

    assert Retention().pause == 2.5


class TestHalfMessages:
    @pytest.fixture(autouse=True)
    def halves(self, no_checkers):
        answering()
        for days, state in (
            (8, "committed"),
            (8, "rolled_back"),
            (6, "committed"),
            (None, "undecided"),
            (None, "prepared"),
        ):
            (half,) = due()
            decided_at = None if days is None else in_future(-timedelta(days=days))
            HalfMessage.objects.filter(pk=half.pk).update(
                state=state, decided_at=decided_at, prepared_at=in_future(-timedelta(days=1000))
            )
            HalfMessageCheck.objects.create(half=half, answer="unknown")

    def states(self):
        return list(HalfMessage.objects.order_by("pk").values_list("state", flat=True))

    def test_decided_ones_go_with_their_checks_and_open_ones_never_do(self):
        assert Retention().run_once() == 2
        assert self.states() == ["committed", "undecided", "prepared"]
        assert HalfMessageCheck.objects.count() == 3
        assert Retention().run_once() == 0

    def test_all_may_be_kept(self, settings):
        settings.DLQ_DECIDED_RETENTION = None

        assert Retention().run_once() == 0
        assert len(self.states()) == 5

    def test_they_go_in_steps(self, monkeypatch):
        monkeypatch.setattr(retention, "ROWS_PER_STEP", 1)

        assert [Retention().run_once() for _ in range(3)] == [1, 1, 0]
