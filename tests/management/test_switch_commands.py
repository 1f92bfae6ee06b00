import getpass
import io
import re

import pytest
from django.core.management import CommandError, call_command

from django_dlq import outbox
from django_dlq.management.switch_command import SwitchCommand
from django_dlq.models import Pause, Pauses

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
    assert pause(*thing) == f"paused {name}"
    again = run("dlq_pause", *thing, "--reason", "me too", "--by", "ben")
    assert re.fullmatch(rf"it was paused already\. {name}: paused since 20.* by ana: wrong totals", again)

    assert run("dlq_resume", *thing, "--reason", "mended") == f"resumed {name}"
    assert run("dlq_resume", *thing, "--reason", "mended") == "it was not paused; nothing was changed"
    assert Pause.objects.active() == Pauses()


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
