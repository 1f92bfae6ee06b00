import threading
from datetime import timedelta

import pytest
from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.auth.models import User
from django.db import connections, transaction

from django_dlq import signals, switches
from django_dlq.exceptions import DeskError, InvalidSwitch, ReasonRequired
from django_dlq.models import Pause, Pauses

pytestmark = pytest.mark.django_db

THINGS = [{"topic": "orders"}, {"topic": "orders", "key": "7"}, {"topic": "orders", "key": ""}, {"broker": "default"}]
WHY = {"actor": "ana", "reason": "wrong totals"}


@pytest.fixture
def told():
    """Collect what the signal says."""
    collected = []

    def listen(pause, is_paused, actor_name, reason, **_):
        collected.append((str(pause), is_paused, actor_name, reason))

    signals.switch_changed.connect(listen)
    yield collected
    signals.switch_changed.disconnect(listen)


@pytest.mark.parametrize("thing", THINGS)
def test_what_is_paused_stays_so_until_it_is_resumed_and_both_answers_are_clear(thing):
    paused, is_new = switches.pause(**thing, **WHY)
    again, is_new_again = switches.pause(**thing, actor="ben", reason="me too")

    assert (is_new, is_new_again) == (True, False)
    assert (again.pk, again.actor_name, again.reason) == (paused.pk, "ana", "wrong totals")
    assert paused.at.tzinfo is not None
    assert Pause.objects.count() == 1

    resumed = switches.resume(**thing, actor="ben", reason="mended")
    assert resumed is not None
    assert (resumed.pk, resumed.actor_name) == (paused.pk, "ana")
    assert switches.resume(**thing, actor="cleo", reason="mended") is None
    assert Pause.objects.active() == Pauses()


def test_a_topic_its_keys_and_a_broker_are_paused_apart():
    for thing in THINGS:
        assert switches.pause(**thing, **WHY)[1]

    switches.resume(topic="orders", **WHY)
    assert Pause.objects.active() == Pauses(
        keys=frozenset({("orders", "7"), ("orders", "")}), brokers=frozenset({"default"})
    )
    assert switches.resume(topic="orders", key="8", **WHY) is None


@pytest.mark.once
@pytest.mark.parametrize(
    ("thing", "why"),
    [
        ({}, "name one thing"),
        ({"key": "7"}, "name one thing"),
        ({"topic": "orders", "broker": "default"}, "name one thing"),
        ({"broker": "default", "key": "7"}, "name one thing"),
        ({"topic": ""}, "has a name"),
        ({"topic": "nul\x00"}, "topic must be text"),
        ({"topic": "t" * 256}, "256 characters"),
        ({"topic": "orders", "key": "\ud800"}, "key must be text"),
        ({"broker": "defualt"}, "no broker 'defualt'; it has: default"),
    ],
)
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_cannot_be_paused_is_told_so_and_nothing_is_changed(verb, thing, why):
    with pytest.raises(InvalidSwitch, match=why):
        getattr(switches, verb)(**thing, **WHY)
    assert not Pause.objects.exists()
    assert issubclass(InvalidSwitch, (DeskError, ValueError))


@pytest.mark.once
@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_both_need_a_reason(verb):
    with pytest.raises(ReasonRequired, match=verb):
        getattr(switches, verb)(topic="orders", actor="ana", reason=" \n")


def test_a_broker_that_the_settings_have_lost_can_be_resumed(settings):
    switches.pause(broker="default", **WHY)
    settings.DLQ_BROKERS = {}

    assert switches.resume(broker="default", **WHY)


def test_each_act_is_told_once_it_is_committed_and_only_if_it_changed_something(
    told, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        switches.pause(topic="orders", actor="ana", reason=" wrong totals ")
        switches.pause(topic="orders", actor="ben", reason="me too")
        switches.resume(topic="orders", actor=User.objects.create_user("cleo"), reason="mended")
        switches.resume(topic="orders", actor="ben", reason="me too")
        assert told == []

    assert told == [("topic orders", True, "ana", "wrong totals"), ("topic orders", False, "cleo", "mended")]


def test_what_a_user_did_outlives_the_pause():
    ana, ben = User.objects.create_user("ana"), User.objects.create_user("ben")
    paused, _ = switches.pause(topic="orders", key="k" * 300, actor=ana, reason="wrong totals")
    assert (paused.actor, paused.actor_name) == (ana, "ana")
    switches.resume(topic="orders", key="k" * 300, actor=ben, reason="mended")

    entries = LogEntry.objects.order_by("pk")
    assert [(entry.user, entry.action_flag, entry.get_change_message()) for entry in entries] == [
        (ana, ADDITION, "paused: wrong totals"),
        (ben, DELETION, "resumed: mended"),
    ]
    assert {entry.object_id for entry in entries} == {str(paused.pk)}
    assert entries[0].object_repr.startswith("key orders kkk")
    assert entries[0].content_type.model_class() is Pause


def test_the_admin_need_not_be_installed(monkeypatch):
    ana = User.objects.create_user("ana")
    monkeypatch.setattr("django_dlq.acts.apps.is_installed", lambda name: False)
    switches.pause(topic="orders", actor=ana, reason="wrong totals")

    assert Pause.objects.get().actor == ana
    assert not LogEntry.objects.exists()


def test_a_pause_belongs_to_the_transaction_around_it():
    with transaction.atomic():
        switches.pause(topic="orders", **WHY)
        transaction.set_rollback(True)
    assert not Pause.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("verb", "answers"), [("pause", [False, True]), ("resume", [False, True])])
def test_of_two_who_act_at_once_one_has_done_it(verb, answers):
    if verb == "resume":
        switches.pause(topic="orders", **WHY)
    together, found = threading.Barrier(2), []

    def act():
        try:
            together.wait(30)
            answer = getattr(switches, verb)(topic="orders", **WHY)
            found.append(answer[1] if verb == "pause" else answer is not None)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=act) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found) == answers


def test_debezium_would_send_on_so_nothing_can_be_paused_and_what_was_can_be_resumed(settings):
    switches.pause(topic="orders", **WHY)
    settings.DLQ_OUTBOX_RETENTION = timedelta(days=3)

    with pytest.raises(InvalidSwitch, match="pause its connector"):
        switches.pause(broker="default", **WHY)
    assert switches.resume(topic="orders", **WHY)
    assert not Pause.objects.exists()
