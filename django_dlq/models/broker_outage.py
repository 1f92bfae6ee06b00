"""Which relay cannot reach which broker, since when, and why."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_dlq.models.clock import DatabaseNow
from django_dlq.models.fields import ExactCharField
from django_dlq.models.primary import PrimaryManager
from django_dlq.models.relay_process import RelayProcess


class BrokerOutageManager(PrimaryManager["BrokerOutage"]):
    """Say that a broker is out of reach, or a topic of it, and that it is back."""

    def begin(self, owner: str, broker: str, reason: str, *, topic: str = "") -> None:
        """Note that a relay cannot reach a broker; the moment is that of the first time since it last could."""
        self.update_or_create(relay_id=owner, broker=broker, topic=topic, defaults={"reason": reason})

    def end(self, owner: str, broker: str, *, topic: str = "") -> None:
        """Note that a relay has reached a broker again."""
        self.filter(relay_id=owner, broker=broker, topic=topic).delete()


class BrokerOutage(models.Model):
    """A broker that one relay cannot reach, or a topic of which that broker, which is well, does not take everything.

    The row goes when the relay can, or when it is gone.
    """

    relay = models.ForeignKey(
        RelayProcess, on_delete=models.CASCADE, related_name="outages", verbose_name=_("relay"), db_constraint=False
    )
    broker = models.CharField(_("broker"), max_length=100)
    # Empty: the whole broker.
    topic = ExactCharField(_("topic"), max_length=255, blank=True, default="")
    since = models.DateTimeField(_("unreachable since"), db_default=DatabaseNow())
    reason = models.TextField(_("reason"), blank=True, default="")

    objects = BrokerOutageManager()

    class Meta:
        verbose_name = _("broker outage")
        verbose_name_plural = _("broker outages")
        constraints = [models.UniqueConstraint(fields=["relay", "broker", "topic"], name="dlq_outage_once")]

    def __str__(self) -> str:
        return f"{' '.join(filter(None, [self.broker, self.topic]))} ({self.relay_id})"
