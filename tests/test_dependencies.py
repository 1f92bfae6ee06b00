from datetime import timedelta

import pytest
from django.test import override_settings

from django_dlq import dependencies, retries
from django_dlq.consuming.due import ORPHANED_AFTER
from django_dlq.exceptions import ReasonRequired, UnknownDependency
from django_dlq.models import Circuit, DeadLetter, Dependency, OutboxMessage, State, in_future
from django_dlq.retries import Retries
from tests.letters import consumer_letter, timeline
from tests.outages import NAME, Logistics, circuit, let_time_pass, open_by_itself

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def logistics(registry):
    logistics = Logistics()
    logistics.watch()
    logistics.serve("shipping")
    return logistics


def retrying(number=1, **columns):
    columns = {"handler": "tests.outages.pack_for_shipping", "dependency": NAME} | columns
    return consumer_letter(State.RETRYING, message_key=str(number), next_attempt_at=in_future(-MINUTE), **columns)


class TestByHand:
    def test_an_open_circuit_stays_open_whatever_the_probe_says(self, logistics):
        assert dependencies.open_circuit(NAME, actor="ana", reason=" they migrate ")
        row = circuit()
        assert (row.state, row.actor_name, row.reason, row.next_probe_at) == ("open", "ana", "they migrate", None)
        retrying()
        Retries().run_once()
        assert (logistics.calls, logistics.probed) == ([], 0)

    def test_of_two_people_who_open_it_the_first_ones_reason_stays(self, logistics):
        assert dependencies.open_circuit(NAME, actor="ana", reason="they migrate")
        assert not dependencies.open_circuit(NAME, actor="ben", reason="me too")
        assert circuit().actor_name == "ana"

    def test_one_that_opened_by_itself_can_be_taken_over(self, logistics):
        open_by_itself()
        assert dependencies.open_circuit(NAME, actor="ana", reason="they migrate")
        assert circuit().is_by_hand

    def test_closing_makes_what_waits_due(self, logistics):
        open_by_itself()
        letter = retrying()
        DeadLetter.objects.update(next_attempt_at=in_future(MINUTE))
        assert dependencies.close_circuit(NAME, actor="ana", reason="they are back")
        assert not dependencies.close_circuit(NAME, actor="ana", reason="they are back")
        assert Retries().run_once() == 1
        letter.refresh_from_db()
        assert letter.state == State.RESOLVED

    @pytest.mark.parametrize("act", [dependencies.open_circuit, dependencies.close_circuit])
    def test_each_act_needs_a_reason(self, logistics, act):
        with pytest.raises(ReasonRequired):
            act(NAME, actor="ana", reason=" ")

    def test_what_nobody_needs_cannot_be_opened(self, logistics):
        with pytest.raises(UnknownDependency, match="they depend on: logistics"):
            dependencies.open_circuit("logistic", actor="ana", reason="they migrate")

    def test_both_acts_are_told_once_they_are_committed(self, logistics, django_capture_on_commit_callbacks, caplog):
        with django_capture_on_commit_callbacks(execute=True):
            dependencies.open_circuit(NAME, actor="ana", reason="they\nmigrate")
            dependencies.close_circuit(NAME, actor="ana", reason="done")
        assert "the circuit of logistics is open: by ana: they migrate;" in caplog.text
        assert "the circuit of logistics is closed again" in caplog.text


class TestRetries:
    def test_wait_without_paying_while_the_circuit_is_open(self, logistics):
        open_by_itself()
        logistics.is_up = False
        letter = retrying()
        long_ago = in_future(-2 * ORPHANED_AFTER)
        other = consumer_letter(State.RETRYING, message_key="other", group="else", next_attempt_at=long_ago)
        assert Retries().run_once() == 1  # no handler takes the other one any more, which is its failure
        letter.refresh_from_db()
        other.refresh_from_db()
        assert (letter.attempts, letter.state, other.state) == (1, State.RETRYING, State.DEAD)
        assert logistics.calls == []

    def test_one_of_them_is_tried_and_closes_the_circuit_for_the_others(self, logistics):
        open_by_itself()
        for number in range(3):
            retrying(number)
        retries = Retries()
        retries._circuits._inline = True
        assert retries.run_once() == 3
        assert circuit().state == Circuit.CLOSED
        assert not DeadLetter.objects.open().exists()

    def test_one_that_is_tried_in_vain_pays_nothing(self, logistics):
        open_by_itself(state=Circuit.HALF_OPEN)
        logistics.is_up = False
        letter = retrying()
        Retries().run_once()
        letter.refresh_from_db()
        assert logistics.calls == [("1", 2)]
        assert letter.attempts == 1
        assert circuit().state == Circuit.OPEN

    def test_failures_of_retries_count_and_the_one_that_opens_the_circuit_pays_nothing(self, logistics):
        logistics.is_up = False
        for number in range(8):
            retrying(number, dependency="")
        Retries().run_once()
        assert len(logistics.calls) == 5
        assert sorted(DeadLetter.objects.values_list("attempts", flat=True)) == [1, 1, 1, 1, 2, 2, 2, 2]

    def test_one_whose_handler_has_another_name_now_is_passed_over_once_it_has_failed(self, logistics):
        """It is not among those that wait, so it is tried, finds the circuit open, and waits from then on."""
        open_by_itself(next_probe_at=in_future(MINUTE))
        logistics.is_up = False
        retrying(handler="shop.old_name", dependency="")
        retries = Retries()
        assert (retries.run_once(), retries.run_once()) == (1, 0)
        assert DeadLetter.objects.get().dependency == NAME

    def test_a_trial_that_finds_nothing_to_try_leaves_it_to_the_next(self, logistics, monkeypatch):
        open_by_itself(state=Circuit.HALF_OPEN)
        retrying()
        monkeypatch.setattr(retries, "lock_first", lambda letters: None)
        Retries().run_once()
        assert Dependency.objects.seen_by([NAME]).get().is_due


class TestReplay:
    def test_what_died_is_replayed_and_nothing_else(self, logistics):
        open_by_itself(state=Circuit.CLOSED)
        died = [consumer_letter(dependency=NAME, message_key=str(number)) for number in range(3)]
        consumer_letter(message_key="of something else")
        assert dependencies.replay_dead(NAME, actor="ana", reason="they are back") == 3
        Retries().run_once()

        assert OutboxMessage.objects.count() == 3
        assert timeline(died[0]) == [("replayed", "ana")]
        retries = Retries()
        retries.run_once()
        assert circuit().replay_until is None

    def test_nothing_is_replayed_while_the_circuit_is_open(self, logistics):
        open_by_itself(next_probe_at=in_future(MINUTE))
        consumer_letter(dependency=NAME)
        assert dependencies.replay_dead(NAME, actor="ana") == 1
        Retries().run_once()
        assert not OutboxMessage.objects.exists()

    def test_what_dies_later_is_not_meant(self, logistics):
        open_by_itself(state=Circuit.CLOSED)
        consumer_letter(dependency=NAME)
        dependencies.replay_dead(NAME, actor="ana")
        DeadLetter.objects.update(last_failed_at=in_future(MINUTE))
        Retries().run_once()
        assert not OutboxMessage.objects.exists()
        assert circuit().replay_until is None

    def test_where_nothing_died_nothing_is_asked_for(self, logistics):
        assert dependencies.replay_dead(NAME, actor="ana") == 0
        open_by_itself()
        assert dependencies.replay_dead(NAME, actor="ana") == 0
        assert circuit().replay_until is None
        assert dependencies.replay_some(NAME) == 0

    @override_settings(DLQ_REPLAY_AFTER_OUTAGE=True)
    def test_the_end_of_an_outage_replays_what_died_of_it(self, logistics):
        open_by_itself()
        died = consumer_letter(dependency=NAME, message_key="died")
        retrying()
        let_time_pass()
        retries = Retries()
        retries._circuits._inline = True
        retries.run_once()
        retries.run_once()
        assert timeline(died) == [("replayed", "the end of the outage")]
