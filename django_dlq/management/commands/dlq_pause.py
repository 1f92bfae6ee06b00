"""manage.py dlq_pause."""

from django_dlq import switches
from django_dlq.management.switch_command import SwitchCommand, describe
from django_dlq.models import count_waiting, is_known


class Command(SwitchCommand):
    """Pause a topic, a key or a broker."""

    help = "Stops sending to a topic, a key of it, or a broker, within seconds; the messages wait in the outbox."

    def switch(self, thing: dict[str, str | None], *, actor: str, reason: str) -> str:
        """Pause it, say how many messages wait for that, and warn of what looks like a typing error."""
        pause, is_new = switches.pause(**thing, actor=actor, reason=reason)
        if pause.topic and not is_known(pause.topic):
            self.stderr.write(
                f"No message of the topic {pause.topic!r} is among those that wait the longest, and none among those "
                "that were sent last. Is that its name? The pause is in force all the same."
            )
        (waiting,) = count_waiting(pause.stopped)
        return f"paused {pause}; waiting: {waiting}" if is_new else f"it was paused already. {describe(pause)}"
