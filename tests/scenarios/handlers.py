"""What the processes of a scenario do with a message: one Box for each order."""

import os
import sys

from django_dlq import inbox
from django_dlq.message import ReceivedMessage
from tests.scenarios import STUMBLES
from tests.shop.models import Box


class Stumbled(Exception):
    """The first attempt failed, as it was told to."""


@inbox.handler(os.environ["SCENARIO_TOPIC"], group=os.environ["SCENARIO_GROUP"])
def pack(message: ReceivedMessage) -> None:
    """Pack the order of a message; one with the tag `stumbles` fails once, after its box was written."""
    Box.objects.create(order=message.json()["order"])
    if message.tag == STUMBLES:
        # Where a rollback cannot hide it.
        sys.stderr.write(f"attempt {message.attempt} of {message.message_key}\n")
    if message.tag == STUMBLES and message.attempt == 1:
        raise Stumbled(f"order {message.json()['order']} stumbled")
