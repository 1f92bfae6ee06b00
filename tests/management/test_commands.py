import io
import os
import re
import signal
import threading
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class

from django_dlq import inbox, outbox
from django_dlq.exceptions import BrokerUnavailable, Reject
from django_dlq.management import machine_command
from django_dlq.management.commands import dlq_consume, dlq_relay, dlq_run
from django_dlq.management.machine_command import MachineCommand
from django_dlq.models import DeadLetter, OutboxMessage, PublishedMessage, State, in_future
from django_dlq.outbox import Message, Verdict
from django_dlq.supervisor import manage
from tests.half_messages import answering, due
from tests.letters import consumer_letter

pytestmark = pytest.mark.django_db

MACHINES = ["dlq_relay", "dlq_consume", "dlq_retry", "dlq_checkback", "dlq_prune"]


def run(*arguments, **options):
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue().strip()


@pytest.fixture
def shop(dlq, registry, monkeypatch):
    """Register one handler, and let nobody wait for a group to be joined."""
    monkeypatch.setattr(dlq_consume.Command, "patience", 0.0)
    seen = []
    inbox.handler("orders", group="shipping")(seen.append)
    return seen


def publish(number):
    return outbox.publish_many([Message("orders", {"n": n}) for n in range(number)])


class TestOnce:
    def test_the_relay_sends_all_there_is(self, shop, settings):
        settings.DLQ_RELAY_BATCH = 2
        publish(5)

        assert run("dlq_relay", once=True) == "5 messages left the outbox"
        assert run("dlq_relay", once=True) == "0 messages left the outbox"
        assert not OutboxMessage.objects.exists()

    def test_a_relay_that_could_not_send_all_says_why_and_fails(self, broker):
        broker.answers["slow"] = BrokerUnavailable("timed out")
        outbox.publish("slow", "")
        outbox.publish("orders", "")

        why = r"1 messages left the outbox, .* broker default \(topic slow\): timed out"
        with pytest.raises(CommandError, match=why):
            run("dlq_relay", once=True)
        assert [row.topic for row in OutboxMessage.objects.all()] == ["slow"]

    def test_a_consumer_handles_all_there_is(self, shop):
        publish(3)
        run("dlq_relay", once=True)

        assert run("dlq_consume", once=True, group="shipping") == "3 messages settled"
        assert {message.json()["n"] for message in shop} == {0, 1, 2}
        assert run("dlq_consume", once=True) == "0 messages settled"

    def test_retries_make_the_attempts_that_are_due(self, shop):
        consumer_letter(State.RETRYING, next_attempt_at=in_future(-timedelta(1)))
        consumer_letter(State.RETRYING, message_key="later", next_attempt_at=in_future(timedelta(1)))

        assert run("dlq_retry", once=True, group="shipping") == "1 attempts made"
        assert len(shop) == 1

    def test_checkers_are_asked_about_what_is_due(self, no_checkers):
        answering(Verdict.COMMIT)
        due(3)

        assert run("dlq_checkback", once=True) == "3 checks made"
        assert OutboxMessage.objects.count() == 3

    def test_pruning_deletes_what_is_old_enough(self):
        for days in (8, 6):
            PublishedMessage.objects.create(
                outbox_id=days, created_at=in_future(timedelta()), published_at=in_future(-timedelta(days=days))
            )

        assert run("dlq_prune", once=True) == "1 rows deleted"
        assert PublishedMessage.objects.count() == 1

    def test_all_of_them_run_in_turn(self, shop):
        publish(2)
        said = run("dlq_run", once=True).splitlines()

        assert said == [
            "2 messages left the outbox", "2 messages settled", "0 attempts made", "0 checks made",
            "0 rows deleted",
        ]  # fmt: skip
        assert len(shop) == 2

    def test_the_machine_is_closed_so_that_another_relay_may_begin(self, shop):
        run("dlq_relay", once=True)
        publish(1)

        assert run("dlq_relay", once=True) == "1 messages left the outbox"

    def test_an_error_that_a_person_must_see_ends_it(self, monkeypatch):
        class Machine:
            closed = False

            def run_once(self):
                raise Reject("look at this")

            def close(self):
                self.closed = True

        machine = Machine()
        monkeypatch.setattr(dlq_relay, "Relay", lambda **_: machine)
        with pytest.raises(CommandError, match="look at this"):
            run("dlq_relay", once=True)
        assert machine.closed


class TestConsumerGroup:
    def test_an_unknown_group_is_a_mistake_that_names_the_groups(self, shop):
        with pytest.raises(CommandError, match=r"'shiping'; the groups are: shipping"):
            run("dlq_consume", once=True, group="shiping")

    def test_without_a_handler_there_is_nothing_to_consume(self, registry):
        with pytest.raises(CommandError, match="no app has a handler"):
            run("dlq_consume", once=True)

    def test_of_several_groups_one_is_named(self, shop):
        inbox.handler("orders", group="billing")(publish)

        with pytest.raises(CommandError, match="name one group with --group: billing, shipping"):
            run("dlq_consume", once=True)


class TestForever:
    @pytest.fixture
    def loops(self, monkeypatch):
        """Collect the loops that commands run, instead of running them."""
        collected = []

        class Loop:
            def __init__(self, machine, *, idle):
                collected.append((type(machine).__name__, idle))

                self.machine, self.stopped = machine, threading.Event()

            def run(self):
                """End at once."""

        monkeypatch.setattr(machine_command, "Loop", Loop)
        return collected

    @pytest.mark.parametrize(
        ("command", "machine", "idle"),
        [
            ("dlq_relay", "Relay", 0.008),
            ("dlq_retry", "Retries", 0.1),
            ("dlq_consume --no-retries", "Consumer", 0.001),
            ("dlq_checkback", "CheckBack", 0.1),
            ("dlq_prune", "Retention", 60.0),
        ],
    )
    def test_a_machine_looks_as_often_as_its_work_is_urgent(self, shop, loops, command, machine, idle):
        run(*command.split())
        run(*command.split(), interval=7.5)
        assert loops == [(machine, idle), (machine, 7.5)]

    def test_a_consumer_has_the_retries_of_its_group_beside_it(self, shop, loops, settings):
        settings.DLQ_POLL_INTERVAL = timedelta(seconds=3)
        run("dlq_consume")

        assert sorted(loops) == [("Consumer", 0.001), ("Retries", 3.0)]

    def test_the_project_says_how_often(self, loops, settings):
        settings.DLQ_POLL_INTERVAL = timedelta(seconds=3)
        settings.DLQ_RELAY_POLL_INTERVAL = timedelta(seconds=2)
        run("dlq_retry")
        run("dlq_relay")

        assert loops == [("Retries", 3.0), ("Relay", 2.0)]

    def test_a_relay_ends_on_sigterm_after_the_batch_in_hand(self, broker):
        publish(2)
        broker.during_send = lambda: os.kill(os.getpid(), signal.SIGTERM)
        begun, ended = run("dlq_relay").splitlines()

        assert len(broker.sent) == 2
        assert re.fullmatch(r"relay \S+ sends the outbox until SIGTERM or Ctrl-C; dlq_stats tells what it does", begun)
        assert re.fullmatch(r"relay \S+ has ended and sent 2 messages", ended)
        assert not OutboxMessage.objects.exists()


class TestRun:
    @pytest.fixture
    def supervised(self, monkeypatch):
        """Collect what would be supervised."""
        collected = []

        class Supervisor:
            def __init__(self, commands, *, grace):
                collected.append((commands, grace))

            def run(self):
                """End at once."""

        monkeypatch.setattr(dlq_run, "Supervisor", Supervisor)
        return collected

    def test_there_is_a_process_for_each_machine_and_each_group(self, shop, supervised):
        inbox.handler("orders", group="billing")(publish)
        run("dlq_run")

        ((commands, grace),) = supervised
        assert commands == {
            "relay": manage("dlq_relay"),
            "consume billing": manage("dlq_consume", "--group", "billing"),
            "consume shipping": manage("dlq_consume", "--group", "shipping"),
            "retry": manage("dlq_retry"),
            "checkback": manage("dlq_checkback"),
            "prune": manage("dlq_prune"),
        }
        assert grace == 35.0  # DLQ_CONSUMER_GRACE, and time to leave

    def test_the_grace_may_be_chosen(self, registry, supervised):
        run("dlq_run", "--grace", "2.5")

        ((commands, grace),) = supervised
        assert grace == 2.5
        assert list(commands) == ["relay", "retry", "checkback", "prune"]

    def test_beside_debezium_there_is_no_relay(self, registry, supervised, settings):
        settings.DLQ_OUTBOX_RETENTION = timedelta(days=3)
        run("dlq_run")

        ((commands, _),) = supervised
        assert list(commands) == ["retry", "checkback", "prune"]


def test_beside_debezium_the_relay_does_not_start(dlq, settings):
    publish(1)
    settings.DLQ_OUTBOX_RETENTION = timedelta(days=3)

    with pytest.raises(CommandError, match="Debezium sends the outbox"):
        run("dlq_relay", once=True)
    assert OutboxMessage.objects.exists()


@pytest.mark.parametrize("text", ["0", "-1", "soon", ""])
@pytest.mark.parametrize("option", [("dlq_relay", "--interval"), ("dlq_run", "--grace")])
def test_seconds_are_more_than_none(option, text):
    with pytest.raises(CommandError, match="argument"):
        run(*option, text)


def test_every_command_of_this_app_can_be_asked_for_help():
    names = {name for name, app in get_commands().items() if app == "django_dlq"}

    assert names >= {*MACHINES, "dlq_run"}
    for name in names:
        assert load_command_class("django_dlq", name).help.endswith(".")


def test_a_command_without_a_machine_is_unfinished():
    with pytest.raises(NotImplementedError):
        MachineCommand().make()
    assert MachineCommand().report(3) == "3 done"


def test_a_failing_message_is_a_letter_and_the_command_goes_on(shop, registry):
    registry.handlers.clear()

    def fails(message):
        raise Reject("no")

    inbox.handler("orders", group="shipping")(fails)
    publish(2)

    assert "2 messages settled" in run("dlq_run", once=True)
    assert DeadLetter.objects.filter(state=State.DEAD).count() == 2


def test_a_consumer_whose_group_stops_says_so_and_ends_with_status_1(shop, registry, settings):
    registry.handlers.clear()
    settings.DLQ_STORM_IN_ROW = 2

    def fails(message):
        raise Reject("no")

    inbox.handler("orders", group="shipping")(fails)
    publish(5)
    run("dlq_relay", once=True)
    for done in (2, 0):
        with pytest.raises(CommandError, match=f"group shipping is stopped after {done} messages") as ended:
            run("dlq_consume", once=True)
        assert ended.value.returncode == 1
    assert DeadLetter.objects.count() == 2
