"""The pages that a parent sees."""

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from example_project.shop.figures import shipping_letters
from example_project.shop.forms import OrderForm
from example_project.shop.models import Course, Order
from example_project.shop.payments import charge


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show the courses."""
    return render(request, "shop/home.html", {"courses": Course.objects.all()})


@require_http_methods(["GET", "POST"])
def buy(request: HttpRequest, slug: str) -> HttpResponse:
    """Sell a course."""
    course = get_object_or_404(Course, slug=slug)
    form = OrderForm(request.POST or None, instance=Order(course=course), initial={"payment": uuid.uuid4()})
    if form.is_valid():
        payment = form.cleaned_data["payment"] or uuid.uuid4()
        if not Order.objects.filter(payment=payment).exists():
            order = form.save(commit=False)
            order.payment = payment
            charge(order, crash=form.cleaned_data["crash"])
        return redirect("shop:order", payment=payment)
    return render(request, "shop/buy.html", {"course": course, "form": form})


@require_GET
def order(request: HttpRequest, payment: uuid.UUID) -> HttpResponse:
    """Tell a parent how far the order is."""
    return render(request, "shop/order.html", _progress(payment))


@require_GET
def order_live(request: HttpRequest, payment: uuid.UUID) -> HttpResponse:
    """Return the part of that page that changes."""
    return render(request, "shop/_order_live.html", _progress(payment))


def _progress(payment: uuid.UUID) -> dict[str, Any]:
    order = get_object_or_404(Order.objects.select_related("course", "access", "box"), payment=payment)
    return {
        "order": order,
        "packet": order.red_packets.first(),
        "letter": shipping_letters([order]).get(order.message_key),
    }
