"""Tell a person where everything is and what to try."""

import sys
import threading

from django.db import connection

from example_project.patience import Interrupted, wait_until
from example_project.stage import ADMIN, ADMIN_PASSWORD, SLOW_LADDER, Stage
from example_project.visitor import answers

SECONDS_TO_OPEN = 60.0

TEXT = """
  Little Owl is open.   Everything runs on this machine only. Ctrl-C ends it all.

    Shop           {address}/
    Control room   {address}/control/
    Admin          {address}/admin/     user {admin}, password {password}
    API            {address}/api/dead-letters/
    Kafka          {kafka}, topic {topic}
    Database       {database}
    Log            {log}

  Try this:
    1. Buy a course, and watch the order: course open, red packet sent, box sent.
    2. In the control room, close the parcel service and place 100 orders.
       Each box is tried again after {ladder} seconds; then its message is a dead letter.
       Red packets go on meanwhile: they are another consumer group.
    3. Press "Deliver again" on any order: nothing happens twice.
    4. Open the service again. In the admin, choose all dead letters and replay them: every box is sent, once.
    5. Buy a course with "Crash after charging": the shop dies when it has your money, and the page with it.
       Load the page again after a second or two: the bank was asked, and the order is complete. You paid once.
    6. Send a message that nobody can read: it is a dead letter at once, to be edited or discarded.
"""


class Guide:
    """Wait until the shop answers, then explain it."""

    def __init__(self, stage: Stage, stopped: threading.Event) -> None:
        self.stage = stage
        self.stopped = stopped
        self.status = 0

    def run(self) -> None:
        """Print where everything is."""
        try:
            wait_until(
                "the shop opens", lambda: answers(self.stage.address), stopped=self.stopped, seconds=SECONDS_TO_OPEN
            )
        except Interrupted:
            return
        stage = self.stage
        facts = {
            "address": stage.address,
            "admin": ADMIN,
            "password": ADMIN_PASSWORD,
            "kafka": stage.kafka,
            "topic": stage.topic_name,
            "database": f"{connection.display_name} {connection.settings_dict['NAME']}",
            "log": stage.folder / "demo.log",
            "ladder": ", ".join(SLOW_LADDER.split()),
        }
        print(TEXT.format(**facts), flush=True)

    def failed(self, error: str) -> None:
        """Show what went wrong."""
        sys.stderr.write(error)
        self.status = 1

    def end(self) -> int:
        """Return the exit status: Ctrl-C is how a person ends it, so it is no failure."""
        return self.status
