import threading
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from django_dlq import checkback, outbox, signals
from django_dlq.checkback import CheckBack
from django_dlq.exceptions import CheckerUnreachable, DecidedOtherwise, TimeLimitExceeded
from django_dlq.models import (
    Answer,
    DecidedBy,
    HalfMessage,
    HalfMessageCheck,
    HalfState,
    OutboxMessage,
    database_now,
)
from django_dlq.outbox import Verdict
from tests.half_messages import answering, check, due, make_due, states

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_checkers")]


def answers():
    return list(HalfMessageCheck.objects.values_list("answer", flat=True))


def test_what_the_checker_commits_is_sent():
    checker = answering(Verdict.COMMIT)
    (half,) = due(key="7", tag="paid", headers={"a": "b"})

    assert check() == 1

    row = OutboxMessage.objects.get()
    assert (row.message_id, row.key, row.tag, row.body_bytes) == (half.message_id, "7", "paid", b'{"n":0}')
    found = HalfMessage.objects.get()
    assert (found.state, found.decided_by, found.checks) == (HalfState.COMMITTED, DecidedBy.CHECK, 1)
    assert (found.next_check_at, found.owner) == (None, "")
    (message,) = checker.asked
    assert (message.message_id, message.topic, message.key, message.tag) == (half.message_id, "payments", "7", "paid")
    assert (message.json(), message.headers["a"], message.attempt) == ({"n": 0}, "b", 1)
    assert message.record.timestamp == half.prepared_at


def test_what_the_checker_rolls_back_is_never_sent():
    answering(Verdict.ROLLBACK)
    due()

    assert check() == 1
    assert states() == ["rolled_back"]
    assert not OutboxMessage.objects.exists()
    assert answers() == ["rollback"]


def test_the_delay_counts_from_the_check_that_commits():
    answering(Verdict.COMMIT)
    due(delay=timedelta(hours=1))
    check()

    assert OutboxMessage.objects.get().due_at - database_now("default") > timedelta(minutes=59)


def test_nobody_is_asked_before_the_immunity_is_over():
    checker = answering(Verdict.COMMIT)
    due(check_after=timedelta(minutes=1))

    assert check() == 0
    assert checker.asked == []
    assert states() == ["prepared"]


def test_a_checker_that_does_not_know_is_asked_again_later():
    checker = answering(Verdict.UNKNOWN, Verdict.COMMIT)
    due(check_every=timedelta(minutes=5))

    assert check() == 1
    assert check() == 0
    found = HalfMessage.objects.get()
    assert (found.state, found.checks, found.owner) == (HalfState.PREPARED, 1, "")
    assert timedelta(minutes=4) < found.next_check_at - database_now("default") <= timedelta(minutes=5)
    make_due()
    assert check() == 1
    assert [message.attempt for message in checker.asked] == [1, 2]
    assert (states(), answers()) == (["committed"], ["unknown", "commit"])


def test_after_the_last_check_a_person_must_decide(django_capture_on_commit_callbacks):
    answering(Verdict.UNKNOWN)
    due(most_checks=2)
    check()
    make_due()
    told = []
    signals.half_message_undecided.connect(lambda half, **_: told.append(half), weak=False)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            check()
    finally:
        signals.half_message_undecided.receivers.pop()

    assert [half.state for half in told] == [HalfState.UNDECIDED]
    found = HalfMessage.objects.get()
    assert (found.state, found.checks, found.checks_left, found.next_check_at) == (HalfState.UNDECIDED, 2, 0, None)
    assert check() == 0
    found.commit(by=DecidedBy.PERSON, actor_name="ann", reason="the gateway has it")
    assert OutboxMessage.objects.count() == 1


@pytest.mark.parametrize("error", [ValueError("no answer\x00"), SystemExit(3), KeyError("ü")])
def test_an_error_of_a_checker_is_kept_and_counts_as_unknown(error):
    answering(error)
    due()

    assert check() == 1
    line = HalfMessageCheck.objects.get()
    assert (line.answer, line.error_class) == (Answer.UNKNOWN, type(error).__name__)
    assert "half_messages.py" in line.traceback
    assert line.owner.count(":") == 2
    assert line.seconds >= 0
    assert HalfMessage.objects.get().checks == 1


@pytest.mark.parametrize("answer", ["commit", True, None, 1])
def test_what_is_no_verdict_decides_nothing(answer):
    answering(answer)
    due()
    check()

    line = HalfMessageCheck.objects.get()
    assert (line.answer, line.error_class) == (Answer.UNKNOWN, "django_dlq.exceptions.InvalidVerdict")
    assert states() == ["prepared"]


def test_a_check_that_did_not_reach_a_checker_is_shown_and_does_not_count():
    answering(CheckerUnreachable("connection refused"))
    due(most_checks=1)
    for _ in range(3):
        check()
        make_due()

    found = HalfMessage.objects.get()
    assert (found.state, found.checks) == (HalfState.PREPARED, 0)
    assert answers() == ["unreachable"] * 3
    assert HalfMessageCheck.objects.first().error_message == "connection refused"


def test_a_database_error_of_a_checker_does_not_break_what_comes_after_it():
    def broken(message):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    outbox.checker("charge")(broken)
    due()

    assert check() == 1
    assert answers() == ["unknown"]


def test_a_checker_that_takes_too_long_is_stopped_at_its_next_statement(settings):
    settings.DLQ_CHECKBACK_TIMEOUT = timedelta(microseconds=1)

    def slow(message):
        HalfMessage.objects.count()
        return Verdict.COMMIT

    outbox.checker("charge")(slow)
    outbox.checker("patient", timeout=timedelta(minutes=1))(slow)
    due()
    due(checker="patient")
    check()

    assert states() == ["prepared", "committed"]
    assert HalfMessageCheck.objects.get(answer="unknown").error_class.endswith(TimeLimitExceeded.__name__)


def test_one_whose_checker_is_gone_is_not_asked_about_but_told_of(no_checkers, caplog):
    answering(Verdict.COMMIT)
    due(2)
    answering(Verdict.COMMIT, name="refund")
    due(checker="refund")
    del no_checkers.by_name["charge"]

    assert check() == 1
    assert states() == ["prepared", "prepared", "committed"]
    assert answers() == ["commit"]
    assert "2 half messages wait for the checker 'charge', which this project does not have" in caplog.text


def test_it_is_told_of_once_a_minute(no_checkers, caplog, monkeypatch):
    answering()
    due()
    no_checkers.by_name.clear()
    with closing(CheckBack()) as machine:
        machine.run_once()
        machine.run_once()
        assert caplog.text.count("wait for the checker") == 1
        monkeypatch.setattr(checkback, "SECONDS_BETWEEN_COMPLAINTS", 0.0)
        machine._next_complaint = 0.0
        machine.run_once()
    assert caplog.text.count("wait for the checker") == 2


def test_what_was_decided_while_the_checker_was_asked_stays():
    def late(message):
        outbox.half(message.message_id).commit()
        return Verdict.ROLLBACK

    outbox.checker("charge")(late)
    due()
    check()

    assert states() == ["committed"]
    assert OutboxMessage.objects.count() == 1
    assert answers() == []


def test_the_process_that_comes_after_a_check_has_rolled_back_is_refused():
    answering(Verdict.ROLLBACK)
    (half,) = due()
    check()

    with pytest.raises(DecidedOtherwise, match="rolled back by check"):
        half.commit()
    half.rollback()


def test_the_process_that_comes_after_a_check_has_committed_agrees():
    answering(Verdict.COMMIT)
    (half,) = due()
    check()

    assert half.commit() is None
    assert OutboxMessage.objects.count() == 1


def test_what_one_has_in_hand_others_pass_over():
    checker = answering(Verdict.COMMIT)
    due(3)
    one, other = CheckBack(), CheckBack()
    one._seconds_each = 1e-6
    one._take()

    assert other.run_once() == 0
    assert checker.asked == []
    assert one.run_once() == 3
    assert one.run_once() == other.run_once() == 0


def test_what_nobody_has_been_asked_about_is_given_back_at_the_end():
    answering(Verdict.COMMIT)
    due(3)
    one = CheckBack()
    one._seconds_each = 1e-6
    one._take()
    one.close()

    assert check() == 3
    assert answers() == ["commit"] * 3


def test_one_who_dies_with_some_in_hand_is_named_and_costs_no_check():
    answering(Verdict.COMMIT)
    due()
    dead = CheckBack()
    dead._take()
    make_due()  # the lease has run out

    assert check() == 1
    lost, _ = HalfMessageCheck.objects.all()
    assert (lost.answer, lost.owner) == (Answer.LOST, dead.owner)
    assert HalfMessage.objects.get().checks == 1


def test_an_answer_that_comes_after_the_lease_is_not_written_down():
    checker = answering(Verdict.ROLLBACK, Verdict.COMMIT)
    due()
    slow, other = CheckBack(), CheckBack()
    slow._take()
    slow._start()
    slow._collect(1)
    make_due()
    assert other.run_once() == 1
    slow._write_down()

    assert len(checker.asked) == 2
    assert states() == ["committed"]
    assert answers() == ["lost", "commit"]


def test_answers_that_cannot_be_written_down_are_kept(monkeypatch):
    checker = answering(Verdict.COMMIT)
    due()
    write_down = checkback.write_down

    def broken(answers, *, using):
        monkeypatch.setattr(checkback, "write_down", write_down)
        raise OperationalError("deadlock")

    monkeypatch.setattr(checkback, "write_down", broken)
    with closing(CheckBack()) as machine:
        with pytest.raises(OperationalError):
            machine.run_once()
        assert machine.is_busy
        assert machine.run_once() == 1
    assert len(checker.asked) == 1
    assert states() == ["committed"]


def test_fast_checkers_are_asked_about_many_at_a_time(monkeypatch):
    monkeypatch.setattr(checkback, "SECONDS_PER_ROUND", 60.0)
    answering(Verdict.COMMIT)
    due(100)
    with closing(CheckBack()) as machine, CaptureQueriesContext(connection) as queries:
        machine._seconds_each = 1e-6
        assert machine.run_once() == 100

    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) < 20


def test_what_waits_behind_slow_checkers_is_left_to_others(monkeypatch):
    monkeypatch.setattr(checkback, "SECONDS_IN_HAND", -1.0)
    answering(Verdict.COMMIT)
    due(3)
    with closing(CheckBack()) as machine:
        machine._seconds_each = 1e-6
        machine._take()
        machine._seconds_each = 1.0
        assert machine.run_once() == 1
        assert HalfMessage.objects.filter(owner="").count() == 3


def test_a_checker_that_hangs_counts_and_ends_the_process(monkeypatch):
    ended = []
    monkeypatch.setattr(checkback, "end_process", lambda: ended.append(True))
    release = threading.Event()
    answering(Verdict.COMMIT)
    due()
    with closing(CheckBack()) as machine:
        machine._take()
        question = checkback.Question(machine._waiting.popleft())
        checker = checkback.checkers.expect("charge")
        machine._report(checkback.Call(("another", [question]), timedelta(0)))
        assert machine._hanging is None
        machine._report(checkback.Call((checker, [question]), timedelta(0)))
        machine.run_once()
        machine._hanging = None
    release.set()

    assert ended == [True]
    line = HalfMessageCheck.objects.get()
    assert (line.answer, line.error_class) == (Answer.UNKNOWN, "django_dlq.exceptions.TimeLimitExceeded")
    assert HalfMessage.objects.get().checks == 1


def die(**columns):
    """Let a process take what it may, and die with it in hand; return what that was."""
    dead = CheckBack()
    dead._seconds_each = 1e-3
    dead._take()
    make_due()
    return sorted(half.pk for half in dead._waiting)


def test_a_half_message_with_which_its_process_dies_again_and_again_is_undecided_and_says_why():
    checker = answering(Verdict.COMMIT)
    told = []
    (half,) = due()
    signals.half_message_undecided.connect(hear := lambda half, **_: told.append((half.pk, half.deaths)))
    try:
        assert [die() for _ in range(3)] == [[half.pk]] * 3
        assert check() == 0
    finally:
        signals.half_message_undecided.disconnect(hear)
    assert checker.asked == []
    found = HalfMessage.objects.get()
    assert (found.state, found.deaths, found.checks, found.next_check_at) == (HalfState.UNDECIDED, 3, 0, None)
    lines = HalfMessageCheck.objects.order_by("pk")
    assert [line.answer for line in lines] == ["lost"] * 3
    assert [line.error_class for line in lines] == ["", "", "django_dlq.exceptions.ProcessDied"]
    assert "its process died 3 times while its checker was asked" in lines[2].error_message

    found.ask_again()
    assert check() == 1
    assert states() == ["committed"]


def test_what_was_in_hand_at_a_death_is_asked_about_alone_and_is_innocent_once_there_is_an_answer():
    answering(Verdict.UNKNOWN)
    first, *_ = due(4)
    assert len(die()) == 4
    assert die() == [first.pk]
    assert set(HalfMessage.objects.values_list("deaths", flat=True)) == {1}  # that of the first is not noticed yet

    assert check() == 4
    assert set(HalfMessage.objects.values_list("state", "deaths", "checks")) == {(HalfState.PREPARED, 0, 1)}
    assert answers().count("lost") == 4 + 1


def test_nothing_is_taken_beside_one_that_is_suspected_nor_it_beside_others():
    answering(Verdict.UNKNOWN)
    first, second = due(2)
    HalfMessage.objects.filter(pk=second.pk).update(deaths=1)
    machine = CheckBack()
    machine._seconds_each = 1e-3
    machine._take()
    assert [half.pk for half in machine._waiting] == [first.pk]
    machine._take()
    assert [half.pk for half in machine._waiting] == [first.pk]
    machine._waiting.clear()
    machine._take()
    assert [half.pk for half in machine._waiting] == [second.pk]
    due()
    machine._crew = SimpleNamespace(has_room=True, is_busy=True)
    machine._waiting.clear()
    machine._complain = lambda: None
    machine._start = machine._write_down = lambda: 0
    machine.run_once()
    assert not machine._waiting
