"""manage.py dlq_pause."""

from django_dlq import switches
from django_dlq.management.switch_command import SwitchCommand, describe


class Command(SwitchCommand):
    """Pause a topic, a key or a broker."""

    help = "Stops sending to a topic, a key of it, or a broker, within seconds; the messages wait in the outbox."

    def switch(self, thing: dict[str, str | None], *, actor: str, reason: str) -> str:
        """Pause it."""
        pause, is_new = switches.pause(**thing, actor=actor, reason=reason)
        return f"paused {pause}" if is_new else f"it was paused already. {describe(pause)}"
