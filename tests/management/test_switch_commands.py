import getpass
import io
import re

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_dlq import outbox
from django_dlq.management.switch_command import SwitchCommand
from django_dlq.models import Pause, Pauses, PublishedMessage, StoppedGroup
from tests.stopped import stop

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def run(name, *arguments):
    said = io.StringIO()
    call_command(name, *arguments, stdout=said)
    return said.getvalue().strip()


def pause(*arguments):
    return run("dlq_pause", *arguments, "--reason", "wrong totals", "--by", "ana")


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (("--topic", "orders"), "topic orders"),
        (("--topic", "orders", "--key", "42"), "key orders 42"),
        (("--broker", "default"), "broker default"),
    ],
)
def test_a_thing_is_paused_and_resumed_and_each_answer_says_what_was_done(thing, name):
    assert pause(*thing) == f"paused {name}; waiting: 0"
    again = run("dlq_pause", *thing, "--reason", "me too", "--by", "ben")
    assert re.fullmatch(rf"it was paused already\. {name}: paused since 20.* by ana: wrong totals", again)

    assert run("dlq_resume", *thing, "--reason", "mended") == f"resumed {name}"
    assert run("dlq_resume", *thing, "--reason", "mended") == "it was not paused; nothing was changed"
    assert Pause.objects.active() == Pauses()


def warned(*arguments):
    said = io.StringIO()
    call_command("dlq_pause", *arguments, "--reason", "why not", stdout=io.StringIO(), stderr=said)
    return said.getvalue()


def test_a_pause_says_how_many_messages_wait_for_it():
    for key in ("7", "7", "8"):
        outbox.publish("orders", {}, key=key)

    assert pause("--topic", "orders") == "paused topic orders; waiting: 3"
    assert pause("--topic", "orders", "--key", "7") == "paused key orders 7; waiting: 2"
    assert pause("--broker", "default") == "paused broker default; waiting: 3"


def test_a_topic_that_nobody_knows_is_paused_with_a_warning():
    assert "No message of the topic 'oders'" in warned("--topic", "oders")
    assert Pause.objects.get().topic == "oders"

    outbox.publish("orders", {})
    PublishedMessage.objects.create(outbox_id=1, topic="payments", created_at=timezone.now())
    for thing in (("--topic", "orders"), ("--topic", "payments", "--key", "7"), ("--broker", "default")):
        assert warned(*thing) == ""


@pytest.mark.parametrize("command", ["dlq_pause", "dlq_resume"])
@pytest.mark.parametrize("arguments", [(), ("--list",), ("--list", "--topic", "orders")])
def test_either_lists_what_is_paused_and_how_much_waits(command, arguments):
    assert run(command, *arguments) == "nothing is paused"
    pause("--topic", "orders")
    pause("--topic", "payments", "--key", "a\nb")
    for topic in ("orders", "orders", "payments"):
        outbox.publish(topic, {}, key="a\nb")

    lines = run(command, *arguments).splitlines()
    assert [re.sub(r"since .* by", "since … by", line) for line in lines] == [
        "topic orders: paused since … by ana: wrong totals; waiting: 2",
        "key payments a b: paused since … by ana: wrong totals; waiting: 1",
    ]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--topic", "orders"), "say why you"),
        (("--reason", "why not"), "name one thing"),
        (("--key", "7", "--reason", "why not"), "name one thing"),
        (("--broker", "defualt", "--reason", "why not"), "no broker 'defualt'; it has: default"),
        (("--topic", "", "--reason", "why not"), "a topic has a name"),
    ],
)
@pytest.mark.parametrize("command", ["dlq_pause", "dlq_resume"])
def test_a_mistake_ends_with_an_error_that_says_what_to_do(command, arguments, why):
    with pytest.raises(CommandError, match=why):
        run(command, *arguments)
    assert not Pause.objects.exists()


def test_without_a_name_it_is_the_account_that_runs_the_command(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "deploy")
    run("dlq_pause", "--topic", "orders", "--reason", "wrong totals")
    assert Pause.objects.get().actor_name == "deploy"

    def nobody():
        raise OSError("no such account")

    monkeypatch.setattr(getpass, "getuser", nobody)
    run("dlq_pause", "--topic", "payments", "--reason", "wrong totals")
    assert Pause.objects.get(topic="payments").actor_name == "an unnamed account"


def test_a_command_without_a_switch_is_unfinished():
    with pytest.raises(NotImplementedError):
        SwitchCommand().switch({}, actor="ana", reason="why not")


def test_a_group_that_has_stopped_is_resumed_by_its_name(settings):
    settings.DLQ_RELEASE = "r2"
    stop(release="r1")
    why = ("--reason", "mended", "--by", "ana")

    assert run("dlq_resume", "--group", "shipping", *why) == "group shipping was not stopped; nothing was changed"
    named = run("dlq_resume", "--group", "shipping", "--release", "r1", *why)
    assert named == "resumed group shipping in release r1"
    assert StoppedGroup.objects.get().actor_name == "ana"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--group", "shipping", "--topic", "orders", "--reason", "why not"), "name one thing: a group"),
        (("--release", "r1", "--topic", "orders", "--reason", "why not"), "--release needs --group"),
        (("--group", "shipping"), "say why the group may go on"),
    ],
)
def test_what_is_not_clear_resumes_nothing(arguments, told):
    stop()
    with pytest.raises(CommandError, match=told):
        run("dlq_resume", *arguments)
    assert StoppedGroup.objects.get().is_standing
