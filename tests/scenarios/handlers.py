"""What the processes of a scenario do with a message: one Box for each order."""

import logging
import os
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

from django_dlq import inbox
from django_dlq.message import ReceivedMessage
from tests.scenarios import (
    DIES,
    GO,
    HANGS,
    KILLS,
    KILLS_AGAIN,
    LOGISTICS,
    REJECTED,
    STUMBLES,
    STUMBLES_TWICE,
    WAITS,
    WAITS_AGAIN,
)
from tests.services.process import wait_for
from tests.shop.models import Box, Order

logger = logging.getLogger("django_dlq.scenario")

STUMBLING = {STUMBLES: 1, STUMBLES_TWICE: 2, WAITS_AGAIN: 1, KILLS_AGAIN: 1}
"""How many attempts fail, by tag."""


class Stumbled(Exception):
    """The attempt failed, as it was told to."""


class BrokenError(Exception):
    """This release cannot do what it is for."""


def pack(message: ReceivedMessage) -> None:
    """Pack the order of a message; what else happens, and when, its tag says. A bad release packs none."""
    if "SCENARIO_BROKEN" in os.environ:
        raise BrokenError(message.json()["order"])
    if message.tag == WAITS or (message.tag == WAITS_AGAIN and message.attempt > 1):
        logger.info("%s is waiting for go", message.message_key)
        assert wait_for(lambda: Order.objects.filter(number=GO).exists(), seconds=60)
    time.sleep(float(os.environ.get("SCENARIO_SECONDS", "0")))  # as a call of another system takes
    Box.objects.create(order=message.json()["order"])
    if message.tag == STUMBLES:
        # Where a rollback cannot hide it.
        sys.stderr.write(f"attempt {message.attempt} of {message.message_key}\n")
    if message.tag == REJECTED:
        raise inbox.Reject("a person shall decide")
    if message.attempt <= STUMBLING.get(message.tag, 0):
        raise Stumbled(f"order {message.json()['order']} stumbled")
    if message.tag == HANGS and message.attempt == 1:
        threading.Event().wait()
    if message.tag in (KILLS, KILLS_AGAIN):
        os._exit(3)
    if message.tag == DIES:
        die_once()


def call_logistics() -> None:
    """Call what depends on it; while SCENARIO_OUTAGE names a file that is there, nobody listens."""
    if Path(os.environ["SCENARIO_OUTAGE"]).exists():
        raise ConnectionRefusedError("logistics is down")


def pack_many(messages: list[ReceivedMessage]) -> None:
    """Pack many orders with one call."""
    Box.objects.bulk_create(Box(order=message.json()["order"]) for message in messages)
    if any(message.tag == KILLS for message in messages):
        os._exit(3)


def send_many(messages: list[ReceivedMessage]) -> None:
    """Pack many orders and have them fetched."""
    call_logistics()
    pack_many(messages)


def die_once() -> None:
    """End the process as a mistake in C would, in the middle of a transaction; the next time, go on."""
    try:
        Path(os.environ["SCENARIO_DEATH"]).touch(exist_ok=False)
    except FileExistsError:
        return
    os._exit(3)


if "SCENARIO_OUTAGE" in os.environ:
    inbox.probe(LOGISTICS)(call_logistics)
    inbox.handler(
        os.environ["SCENARIO_TOPIC"], group=os.environ["SCENARIO_GROUP"], batch_size=100, depends_on=LOGISTICS
    )(send_many)
elif "SCENARIO_BATCH_SIZE" in os.environ:
    inbox.handler(
        os.environ["SCENARIO_TOPIC"],
        group=os.environ["SCENARIO_GROUP"],
        batch_size=int(os.environ["SCENARIO_BATCH_SIZE"]),
    )(pack_many)
else:
    inbox.handler(
        os.environ["SCENARIO_TOPIC"],
        group=os.environ["SCENARIO_GROUP"],
        concurrency=int(os.environ.get("SCENARIO_CONCURRENCY", "1")),
        timeout=timedelta(seconds=int(os.environ["SCENARIO_TIMEOUT"])) if "SCENARIO_TIMEOUT" in os.environ else None,
        ordered="SCENARIO_ORDERED" in os.environ,
    )(pack)
