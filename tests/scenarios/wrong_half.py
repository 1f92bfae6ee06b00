"""A process that prepares half messages and checks back, on a machine whose clock is wrong."""

import os
from contextlib import closing
from datetime import timedelta

import django


def main() -> None:
    """Prepare one that is due and one that is not, and ask about what is due."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from django_dlq import outbox  # after the setup
    from django_dlq.checkback import CheckBack

    @outbox.checker("charge")
    def charge_happened(message):
        print("asked", message.message_key)  # noqa: T201  # the answer
        return outbox.Verdict.COMMIT

    outbox.prepare("payments", {}, checker="charge", message_key="due", check_after=timedelta(0))
    outbox.prepare("payments", {}, checker="charge", message_key="later", check_after=timedelta(minutes=9))
    with closing(CheckBack()) as machine:
        while machine.run_once() or machine.is_busy:
            pass
