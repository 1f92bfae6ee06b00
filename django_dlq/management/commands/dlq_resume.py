"""manage.py dlq_resume."""

from django_dlq import switches
from django_dlq.management.switch_command import SwitchCommand


class Command(SwitchCommand):
    """Resume a topic, a key or a broker."""

    help = "Goes on sending to a topic, a key of it, or a broker that was paused."

    def switch(self, thing: dict[str, str | None], *, actor: str, reason: str) -> str:
        """Resume it."""
        pause = switches.resume(**thing, actor=actor, reason=reason)
        return "it was not paused; nothing was changed" if pause is None else f"resumed {pause}"
