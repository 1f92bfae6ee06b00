"""Half messages, with processes that really run side by side, and really die."""

import itertools
import os
import subprocess
import sys
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction

from django_dlq import outbox
from django_dlq.checkback import CheckBack
from django_dlq.checkers import Checkers
from django_dlq.exceptions import DecidedOtherwise
from django_dlq.message import ReceivedMessage
from django_dlq.models import DecidedBy, HalfMessage, HalfMessageCheck, HalfState, OutboxMessage, in_future
from django_dlq.outbox import Verdict
from tests.half_messages import answering, due, make_due
from tests.scenarios.dying import Fate
from tests.scenarios.forks import Fork
from tests.services.process import wait_for
from tests.services.wrong_clock import can_be_wrong, wrong_clock
from tests.shop.models import Order

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_checkers")]

ROOT = Path(__file__).resolve().parents[2]
HALVES, WORKERS = 10_000, 3


class Gateway:
    """Work outside the database: a directory with a file for each charge."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def charge(self, reference: str) -> None:
        """Charge once."""
        (self.directory / reference).touch(exist_ok=False)

    def verdict(self, message: ReceivedMessage) -> Verdict:
        """Say what became of a charge; whoever might still make it is dead."""
        return Verdict.COMMIT if (self.directory / message.message_key).exists() else Verdict.ROLLBACK

    def charged(self) -> set[str]:
        """Return the references of all charges."""
        return set(os.listdir(self.directory))


def check_all() -> None:
    """Ask about everything that is due."""
    with closing(CheckBack()) as machine:
        while machine.run_once() or machine.is_busy:
            pass


def test_a_process_killed_at_any_step_leaves_nothing_that_another_cannot_decide(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    outbox.checker("charge")(gateway.verdict)

    def pay(number: int) -> None:
        reference = f"charge-{number}"
        fate = Fate(number)
        fate.watch_database()
        fate.act("begin")
        with outbox.half_message(
            "payments", {}, checker="charge", message_key=reference, check_after=timedelta(0)
        ) as half:
            fate.act("charge")
            gateway.charge(reference)
            with transaction.atomic():
                Order.objects.create(number=reference)
                half.commit()
            fate.act("leave")

    for number in itertools.count(1):
        if not Fork(lambda number=number: pay(number)).was_killed():
            break
    prepared = HalfMessage.objects.filter(state=HalfState.PREPARED).count()
    check_all()

    assert number > 8
    assert prepared > 3  # some died before the work, and some after it
    sent = Counter(OutboxMessage.objects.values_list("message_key", flat=True))
    assert sent == Counter(gateway.charged())
    states = dict(HalfMessage.objects.values_list("message_key", "state"))
    assert {key for key, state in states.items() if state == HalfState.COMMITTED} == gateway.charged()
    assert set(states.values()) == {HalfState.COMMITTED, HalfState.ROLLED_BACK}
    by_itself = HalfMessage.objects.filter(decided_by=DecidedBy.PROCESS).values_list("message_key", flat=True)
    assert set(Order.objects.values_list("number", flat=True)) == set(by_itself)
    assert HalfMessage.objects.filter(decided_by=DecidedBy.CHECK).count() == prepared


def test_a_commit_waits_for_the_check_that_is_writing_and_then_fails_with_its_transaction() -> None:
    answering()
    (half,) = due()
    asked, told = os.pipe()

    def check() -> None:
        with transaction.atomic():
            outbox.half(half.message_id).rollback(by=DecidedBy.CHECK)
            os.write(told, b"!")
            assert wait_for(somebody_waits_for_a_lock, seconds=10)

    child = Fork(check)
    os.read(asked, 1)
    late = Order(number="late")
    with pytest.raises(DecidedOtherwise, match="rolled back by check"), transaction.atomic():
        late.save() or half.commit()

    assert child.wait() == 0
    assert not Order.objects.exists()
    assert not OutboxMessage.objects.exists()


def test_a_check_does_not_decide_what_a_transaction_that_is_still_open_has_committed() -> None:
    checker = answering(Verdict.ROLLBACK)
    (half,) = due()
    asked, told = os.pipe()
    go_on, go = os.pipe()

    def work() -> None:
        with transaction.atomic():
            Order.objects.create(number="in time")
            half.commit()
            os.write(told, b"!")
            os.read(go_on, 1)

    child = Fork(work)
    os.read(asked, 1)
    check_all()
    os.write(go, b"!")

    assert child.wait() == 0
    check_all()
    assert checker.asked == []
    assert Order.objects.exists()
    assert OutboxMessage.objects.get().message_id == half.message_id


def test_processes_and_checks_that_race_never_decide_both_ways() -> None:
    answering(Verdict.ROLLBACK)
    halves = due(100)

    def work() -> None:
        for half in halves:
            try:
                with transaction.atomic():
                    Order.objects.create(number=half.message_id)
                    half.commit()
            except DecidedOtherwise:
                pass

    children = [Fork(work), Fork(check_all)]
    assert [child.wait() for child in children] == [0, 0]
    make_due()
    check_all()

    committed = set(HalfMessage.objects.filter(state=HalfState.COMMITTED).values_list("message_id", flat=True))
    rolled_back = HalfMessage.objects.filter(state=HalfState.ROLLED_BACK).count()
    assert len(committed) + rolled_back == 100
    assert set(Order.objects.values_list("number", flat=True)) == committed
    assert Counter(OutboxMessage.objects.values_list("message_id", flat=True)) == Counter(committed)


def test_three_workers_ask_about_ten_thousand_and_about_none_twice(tmp_path: Path, no_checkers: Checkers) -> None:
    answering()
    one = outbox.half(due()[0].message_id)
    rows = [
        HalfMessage(topic="payments", message_id=str(n), message_key=str(n), body=b"", checker="charge",
                    most_checks=15, check_every=one.check_every, next_check_at=one.next_check_at)
        for n in range(HALVES - 1)
    ]  # fmt: skip
    HalfMessage.objects.bulk_create(rows, batch_size=1000)

    def work() -> None:
        asked = []
        checker = answering(Verdict.COMMIT)
        checker.asked = asked
        check_all()
        (tmp_path / str(os.getpid())).write_text("\n".join(message.message_id for message in asked))

    no_checkers.by_name.clear()
    workers = [Fork(work) for _ in range(WORKERS)]
    assert [worker.wait() for worker in workers] == [0] * WORKERS

    asked = Counter(line for file in tmp_path.iterdir() for line in file.read_text().split())
    assert len(asked) == HALVES
    assert set(asked.values()) == {1}
    assert min(len(file.read_text().split()) for file in tmp_path.iterdir()) > 0
    assert OutboxMessage.objects.count() == HALVES
    assert HalfMessageCheck.objects.count() == HALVES


@pytest.mark.skipif(not can_be_wrong(), reason="no compiler: make services")
@pytest.mark.parametrize("by", [timedelta(hours=1), -timedelta(hours=1)])
def test_immunity_and_leases_go_by_the_clock_of_the_database(by: timedelta, tmp_path: Path) -> None:
    environment = {**os.environ, **wrong_clock(by, tmp_path), "DATABASE_URL": database_url()}
    script = "from tests.scenarios.wrong_half import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["asked", "due"]
    states = dict(HalfMessage.objects.values_list("message_key", "state"))
    assert states == {"due": "committed", "later": "prepared"}
    later = HalfMessage.objects.get(message_key="later")
    assert HalfMessage.objects.filter(pk=later.pk, next_check_at__lt=in_future(timedelta(minutes=10))).exists()
    assert HalfMessage.objects.filter(pk=later.pk, next_check_at__gt=in_future(timedelta(minutes=8))).exists()


def somebody_waits_for_a_lock() -> bool:
    """Whether a statement in this database waits for a row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def database_url() -> str:
    """Return where this test's database is, as tests/settings.py reads it."""
    found = connection.settings_dict
    password = f":{found['PASSWORD']}" if found["PASSWORD"] else ""
    return f"postgres://{found['USER']}{password}@{found['HOST']}:{found['PORT']}/{found['NAME']}"
