"""Money is taken once, and an order is paid exactly if it was, whoever dies in between."""

import os
import subprocess
import sys
import threading
import uuid
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from django_dlq.checkback import CheckBack
from django_dlq.models import HalfMessage, HalfState
from django_dlq.testing.pytest_plugin import Dlq
from example_project.logistics_service import LogisticsServer
from example_project.shop import bank, payments
from example_project.shop.models import Course, Order

pytestmark = pytest.mark.usefixtures("shelves")
FAMILY = {"parent_name": "Mei Lin", "child_name": "Lele", "address": "8 Plum Street"}
PRICE = Decimal("39.00")


class Died(BaseException):
    """The process is gone."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let os._exit end the call, and not the tests; the last test of this file dies in earnest."""

    def die(status: int) -> None:
        raise Died(status)

    monkeypatch.setattr(os, "_exit", die)


def order() -> Order:
    return Order(course=Course.objects.get(slug="letters"), **FAMILY)


def check_back() -> None:
    machine = CheckBack()
    machine.run_once()
    machine.close()


@pytest.fixture
def at_once(settings: object) -> None:
    """Ask about a payment at once."""
    settings.DLQ_CHECKBACK_AFTER = timedelta(0)  # type: ignore[attr-defined]


def test_a_payment_is_charged_once_however_often_it_is_asked_for() -> None:
    payment = uuid.uuid4()
    bank.charge(payment, PRICE)
    bank.charge(payment, PRICE)
    assert bank.charged() == [str(payment)]
    assert not bank.cancel(payment)


def test_a_payment_that_was_called_off_is_never_charged() -> None:
    payment = uuid.uuid4()
    assert bank.cancel(payment)
    assert bank.cancel(payment)
    with pytest.raises(bank.Cancelled):
        bank.charge(payment, PRICE)
    assert bank.charged() == []


def test_of_those_who_charge_and_call_off_at_the_same_moment_one_is_first(ledger: Path) -> None:
    payment, ready, cancelled = uuid.uuid4(), threading.Barrier(8), []

    def ask(number: int) -> None:
        ready.wait(20)
        if number % 2:
            cancelled.append(bank.cancel(payment))
            return
        try:
            bank.charge(payment, PRICE)
        except bank.Cancelled:
            cancelled.append(True)
        else:
            cancelled.append(False)

    threads = [threading.Thread(target=ask, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(cancelled)) == 1
    assert len(ledger.read_text().splitlines()) == 1


def test_an_order_that_is_paid_is_complete_at_once(dlq: Dlq) -> None:
    row = payments.charge(order())
    row.refresh_from_db()
    assert row.paid_at
    assert row.access
    assert HalfMessage.objects.get().state == HalfState.COMMITTED
    assert [message.message_key for message in dlq.messages] == [row.message_key]


@pytest.mark.usefixtures("dying", "at_once")
def test_an_order_of_a_shop_that_died_after_charging_is_completed_by_asking_the_bank(dlq: Dlq) -> None:
    with pytest.raises(Died):
        payments.charge(order(), crash=True)
    row = Order.objects.get()
    assert (row.paid_at, bank.charged()) == (None, [str(row.payment)])
    check_back()
    row.refresh_from_db()
    assert row.paid_at
    assert row.access
    assert [message.message_key for message in dlq.messages] == [row.message_key]


@pytest.mark.usefixtures("at_once")
def test_an_order_of_a_shop_that_died_before_charging_is_called_off(dlq: Dlq, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bank, "charge", lambda *_: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            payments.charge(order())
    check_back()
    row = Order.objects.get()
    assert (row.paid_at, bank.charged(), list(dlq.messages)) == (None, [], [])
    assert HalfMessage.objects.get().state == HalfState.ROLLED_BACK
    with pytest.raises(bank.Cancelled):
        bank.charge(row.payment, PRICE)


@pytest.mark.usefixtures("dying", "at_once")
def test_a_parent_who_sends_the_form_again_after_the_crash_pays_once_and_sees_the_order(
    client: Client, dlq: Dlq, warehouse: LogisticsServer
) -> None:
    form = {**FAMILY, "payment": str(uuid.uuid4()), "crash": "on"}
    with pytest.raises(Died):
        client.post("/courses/letters/", form)
    page = client.post("/courses/letters/", form, follow=True).content.decode()
    assert "We ask the bank whether you have paid." in page
    check_back()
    dlq.drain()
    page = client.get(reverse("shop:order-live", args=[form["payment"]])).content.decode()
    assert "Lele can start now." in page
    assert Order.objects.get().box.tracking in page
    assert bank.charged() == [form["payment"]]


def test_the_form_has_a_payment_of_its_own_each_time_and_the_switch_is_off(client: Client) -> None:
    pages = [client.get("/courses/letters/").content.decode() for _ in range(2)]
    assert pages[0] != pages[1]
    assert 'name="crash"' in pages[0]
    assert "checked" not in pages[0]


def test_the_process_dies_in_earnest(tmp_path: Path) -> None:
    script = (
        "import django; django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('migrate', verbosity=0)\n"
        "from example_project.shop.catalogue import stock_shelves; stock_shelves()\n"
        "from example_project.shop import payments; from example_project.shop.models import Course, Order\n"
        "order = Order(course=Course.objects.first(), parent_name='a', child_name='b', address='c')\n"
        "payments.charge(order, crash=True)\n"
        "print('not reached')\n"
    )
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "example_project.settings"}
    environment["DEMO_FOLDER"] = str(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (payments.CRASHED, ""), ended.stderr
    assert len((tmp_path / "bank.log").read_text().splitlines()) == 1
