"""The story of `make demo ONCE=1`: what a person would try, played with nobody watching, and every promise checked."""

import threading
import time
import traceback
from collections.abc import Callable

from django.db.models import QuerySet
from django.urls import reverse

from django_dlq.models import DeadLetter, State
from django_dlq.registry import handlers
from example_project.patience import BrokenPromise, Interrupted, wait_until
from example_project.promises import Figures, Promises
from example_project.shop.logistics import is_open
from example_project.shop.models import Box, Order, RedPacket
from example_project.stage import ADMIN, ADMIN_PASSWORD, Stage
from example_project.visitor import Visitor, answers

CALM, SHORT_OUTAGE, LONG_OUTAGE, AFTERWARDS = 120, 20, 40, 20
ORDERS = CALM + SHORT_OUTAGE + LONG_OUTAGE + AFTERWARDS
DUPLICATES = 20
FAMILY = {"parent_name": "Mei Lin", "child_name": "Lele", "address": "8 Plum Street"}
SECONDS = 60.0
"""For each step. All of them together take about a third of that."""


class Story:
    """Play it once."""

    def __init__(self, stage: Stage, stopped: threading.Event) -> None:
        self.stage = stage
        self.stopped = stopped
        self.visitor = Visitor(stage.address)
        self.promises = Promises(stage, _newest_order(), orders_to_come=ORDERS, duplicates=DUPLICATES)
        self.broken: list[str] = ["it did not end"]
        self.figures: Figures | None = None
        self._began = time.monotonic()

    def run(self) -> None:
        """Play, check, and end the demo."""
        broken: list[str] = []
        try:
            self._play()
        except Interrupted:
            return
        except BrokenPromise as error:
            broken.append(str(error))
        except Exception:  # noqa: BLE001  # whatever it is, the promises are checked and the figures printed
            broken.append(traceback.format_exc())
        self.broken = [*broken, *self.promises.broken()]
        self.figures = self.promises.figures()
        self.stopped.set()

    def failed(self, error: str) -> None:
        """Show what went wrong."""
        self.broken = [error]

    def end(self) -> int:
        """Print the outcome; return the exit status."""
        for text in self.broken:
            print(f"demo: BROKEN: {text}")
        if self.broken:
            print(f"demo: the logs and the database are in {self.stage.folder}")
        if self.figures is not None:
            print(f"demo: {self.figures}", flush=True)
        return 1 if self.broken else 0

    def _play(self) -> None:
        self._wait("the shop and its logistics service open", lambda: answers(self.stage.address) and is_open())
        self._calm_day()
        self._short_outage()
        self._long_outage()
        self._duplicates()
        self._broken_messages()
        self._recovery()

    def _calm_day(self) -> None:
        self.visitor.press("/courses/letters/", "/courses/letters/", **FAMILY)
        self._crash_after_charging()
        self._place(CALM - 2)
        self._wait(f"{CALM} orders are shipped", lambda: self._boxes() == CALM)

    def _crash_after_charging(self) -> None:
        try:
            self.visitor.press("/courses/letters/", "/courses/letters/", crash="on", **FAMILY)
        except OSError:  # the shop is gone, and nobody heard from it
            pass
        else:
            raise BrokenPromise("the shop has answered, where it should have died")
        self._wait("the shop, which died after charging, opens again", lambda: answers(self.stage.address))
        self._wait(
            "the bank was asked, and the order of the shop that died is paid",
            lambda: not self.promises.orders().filter(paid_at=None),
        )

    def _short_outage(self) -> None:
        self._switch("no")
        self._place(SHORT_OUTAGE)
        self._wait(f"{SHORT_OUTAGE} boxes are refused", lambda: self._letters().count() == SHORT_OUTAGE)
        self._switch("yes")
        # On a machine so slow that some of them die first, the replay at the end ships those.
        self._wait("a short outage: retries ship the boxes", lambda: not self._letters(State.RETRYING))

    def _long_outage(self) -> None:
        self._switch("no")
        self._place(LONG_OUTAGE)
        waiting = [State.RETRYING, State.DEAD]
        self._wait(f"{LONG_OUTAGE} more boxes are refused", lambda: self._letters(*waiting).count() >= LONG_OUTAGE)
        paid = CALM + SHORT_OUTAGE + LONG_OUTAGE
        self._wait(
            "a long outage: their messages are dead letters",
            lambda: self._boxes() + self._letters(State.DEAD).count() == paid,
        )
        self._wait("red packets were sent all the same", lambda: self._packets() == paid)

    def _duplicates(self) -> None:
        orders = self.promises.orders()
        half = DUPLICATES // 2
        chosen = [*orders.filter(box__isnull=False)[:half], *orders.filter(box__isnull=True)[:half]]
        before = self._boxes(), self._packets()
        payments = [str(order.payment) for order in chosen]
        self.visitor.press("/control/", "/control/deliver-again/", payment=payments)
        self._wait(f"{len(chosen)} messages are delivered twice", self._is_consumed)
        if before != (self._boxes(), self._packets()):
            raise BrokenPromise("a duplicated delivery had an effect")

    def _broken_messages(self) -> None:
        self.visitor.press("/control/", "/control/unreadable/")
        self.visitor.press("/control/", "/control/expired/")
        self._wait("an unreadable and an expired message are dead letters", self.promises.has_broken_messages)

    def _recovery(self) -> None:
        self._switch("yes")
        self._place(AFTERWARDS)
        dead = [str(letter.pk) for letter in self._letters(State.DEAD)]
        self._replay(dead)
        self._wait(f"{len(dead)} dead letters are replayed in the admin", self._is_settled)

    def _replay(self, letters: list[str]) -> None:
        admin = {"username": ADMIN, "password": ADMIN_PASSWORD, "next": "/admin/"}
        self.visitor.press("/admin/login/", "/admin/login/", **admin)
        page = reverse("admin:django_dlq_deadletter_changelist")
        self.visitor.press(page, page, action="replay_selected", _selected_action=letters)
        confirm = reverse("admin:django_dlq_deadletter_confirm", args=["replay"])
        self.visitor.press(page, confirm, ids=",".join(letters), reason="the parcel service is open again")

    def _place(self, number: int) -> None:
        self.visitor.press("/control/", "/control/orders/", number=str(number))

    def _switch(self, to_open: str) -> None:
        self.visitor.press("/control/", "/control/logistics/", to_open=to_open)

    def _boxes(self) -> int:
        return Box.objects.filter(order__in=self.promises.orders()).count()

    def _packets(self) -> int:
        return RedPacket.objects.filter(order__in=self.promises.orders()).count()

    def _letters(self, *states: State) -> QuerySet[DeadLetter]:
        letters = self.promises.undeliverable()
        return letters.filter(state__in=states) if states else letters

    def _is_consumed(self) -> bool:
        return not self.promises.outbox() and not any(self.stage.topic.lag(group) for group in handlers.groups())

    def _is_settled(self) -> bool:
        return self._is_consumed() and not self.promises.letters().filter(state__in=[State.RETRYING, State.REPLAYING])

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        wait_until(what, condition, stopped=self.stopped, seconds=SECONDS)
        print(f"demo: {time.monotonic() - self._began:5.1f} s  {what}", flush=True)


def _newest_order() -> int:
    return Order.objects.values_list("pk", flat=True).order_by("-pk").first() or 0
