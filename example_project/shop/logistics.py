"""Speak to the logistics service, which belongs to somebody else and is sometimes down."""

import json
import urllib.error
import urllib.request
from typing import Any

from django.conf import settings

from example_project.shop.models import Order

SECONDS = 3.0
"""No answer is waited for longer: the handler's transaction is open meanwhile."""


class LogisticsDown(Exception):
    """The service did not take the request; it may do so later."""


def send_box(order: Order) -> str:
    """Have the box of an order packed and sent; return its tracking number.

    Asking again for the same order is safe: the service knows the order's number and answers with the same box. That is
    what makes an effect outside of our database happen once, since a message may be handled again after a crash.
    """
    answer = _ask(
        "PUT", f"/boxes/{order.pk}", {"to": order.parent_name, "address": order.address, "contents": order.course.box}
    )
    return str(answer["tracking"])


def is_open() -> bool:
    """Tell whether the service takes boxes at present."""
    try:
        return bool(_ask("GET", "/switch")["open"])
    except LogisticsDown:
        return False


def switch(*, to_open: bool) -> None:
    """Open or close the service: only a demonstration has this."""
    _ask("PUT", "/switch", {"open": to_open})


def _ask(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(settings.LOGISTICS_URL + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        raise LogisticsDown(f"the logistics service answered {error.code} {error.reason}") from error
    except OSError as error:
        raise LogisticsDown(f"the logistics service cannot be reached: {error}") from error
