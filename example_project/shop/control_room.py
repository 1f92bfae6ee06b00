"""The page for trying things out: orders by the hundred, an outage, messages twice, broken messages."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from django_dlq.conf import conf
from django_dlq.exceptions import BrokerError
from example_project.shop import logistics, orders
from example_project.shop.figures import figures, latest_orders
from example_project.shop.forms import DeliverAgainForm, PlaceOrdersForm, SwitchForm

LATEST = 10


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Show all switches and counters."""
    steps = [f"{delay.total_seconds():g}" for delay in conf.DLQ_RETRY_DELAYS or ()]
    seconds = sum(delay.total_seconds() for delay in conf.DLQ_RETRY_DELAYS or ())
    return render(request, "shop/control.html", _live() | {"steps": steps, "seconds": f"{seconds:g}"})


@require_GET
def live(request: HttpRequest) -> HttpResponse:
    """Return the part of the page that changes."""
    return render(request, "shop/_control_live.html", _live())


@require_POST
def place_orders(request: HttpRequest) -> HttpResponse:
    """Place as many orders as the button says."""
    form = PlaceOrdersForm(request.POST)
    if not form.is_valid():
        return HttpResponse(_("Say how many: 1 to 500."), status=400)
    number = len(orders.pay_many(form.cleaned_data["number"]))
    messages.success(request, ngettext("%d order is paid.", "%d orders are paid.", number) % number)
    return redirect("shop:control")


@require_POST
def switch_logistics(request: HttpRequest) -> HttpResponse:
    """Open or close the logistics service."""
    form = SwitchForm(request.POST)
    if not form.is_valid():
        return HttpResponse(_("Say yes or no."), status=400)
    try:
        logistics.switch(to_open=form.cleaned_data["to_open"])
    except logistics.LogisticsDown as error:
        messages.error(request, str(error))
    return redirect("shop:control")


@require_POST
def deliver_again(request: HttpRequest) -> HttpResponse:
    """Deliver the messages of some orders a second time."""
    form = DeliverAgainForm(request.POST)
    if not form.is_valid():
        return HttpResponse(_("Say which payment."), status=400)
    try:
        number = orders.deliver_again(form.cleaned_data["payment"])
    except BrokerError as error:
        messages.error(request, _("The broker did not take it: %s") % error)
    else:
        _say_delivered(request, number)
    return redirect(reverse("shop:control") + "#latest")


@require_POST
def publish_unreadable(request: HttpRequest) -> HttpResponse:
    """Publish a message that no handler can read."""
    orders.publish_unreadable()
    messages.success(request, _("A message that nobody can read is on its way. It will be a dead letter at once."))
    return redirect("shop:control")


@require_POST
def publish_expired(request: HttpRequest) -> HttpResponse:
    """Publish a message that is too late already."""
    orders.publish_expired()
    messages.success(request, _("A message that is too late is in the outbox. It will be a dead letter, not sent."))
    return redirect("shop:control")


def _say_delivered(request: HttpRequest, number: int) -> None:
    if number:
        text = ngettext(
            "%d message was delivered again, with the same id. What was done is not done again.",
            "%d messages were delivered again, with the same ids. What was done is not done again.",
            number,
        )
        messages.success(request, text % number)
    else:
        messages.error(request, _("It was not sent yet, so it cannot be sent again. Wait a moment."))


def _live() -> dict[str, Any]:
    return {"figures": figures(), "lines": latest_orders(LATEST), "open": logistics.is_open()}
