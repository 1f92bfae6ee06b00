"""Messages that were in the hands of a process when it died, and may have been the cause."""

from collections.abc import Collection, Iterable, Mapping

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_dlq.message import IDENTITY_LENGTH, Place
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.fields import ExactCharField
from django_dlq.models.primary import PrimaryManager


class SuspectManager(PrimaryManager["Suspect"]):
    """The words in which consumers speak of suspects. Each of them is a transaction of its own."""

    def among(self, group: str, offsets: Mapping[Place, Collection[int]]) -> dict[tuple[Place, int], "Suspect"]:
        """Return the suspects at these offsets."""
        found = self.filter(_at(offsets), group=group)
        return {((row.topic, row.partition), row.offset): row for row in found}

    def write_down(self, rows: Iterable["Suspect"]) -> None:
        """Write down what is about to be handled: whoever finds it, finds what was in hand when its process died."""
        self.bulk_create(rows, ignore_conflicts=True)

    def clear(self, group: str, offsets: Mapping[Place, Collection[int]]) -> None:
        """Forget what is done."""
        if offsets:
            self.filter(_at(offsets), group=group).delete()

    def clear_before(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Forget what is before these offsets, which the group has passed."""
        for (topic, partition), offset in offsets.items():
            self.filter(group=group, topic=topic, partition=partition, offset__lt=offset).delete()


class Suspect(models.Model):
    """One message in hand, written down before it is handled, where a process has died lately.

    `deaths` is how many processes have died with it if somebody else finds the row: the first with whatever else was in
    hand, all further ones with nothing else. The row goes when the message is done.
    """

    group = ExactCharField(_("group"), max_length=100)
    topic = ExactCharField(_("topic"), max_length=IDENTITY_LENGTH)
    partition = models.IntegerField(_("partition"))
    offset = models.BigIntegerField(_("offset"))
    message_id = ExactCharField(_("message id"), max_length=IDENTITY_LENGTH)
    message_key = ExactCharField(_("message key"), max_length=IDENTITY_LENGTH)
    handler = models.CharField(_("handler"), max_length=255)
    deaths = models.PositiveIntegerField(_("deaths"), default=1)
    # Whoever had, or has, it in hand last, and since when.
    owner = models.CharField(_("consumer"), max_length=255)
    begun_at = models.DateTimeField(_("begun at"), db_default=DatabaseNow())

    objects = SuspectManager()

    class Meta:
        verbose_name = _("suspect")
        verbose_name_plural = _("suspects")
        constraints = [
            models.UniqueConstraint(fields=["group", "topic", "partition", "offset"], name="dlq_suspect_once")
        ]

    def __str__(self) -> str:
        return f"{self.group} {self.message_key}"

    def begin(self, owner: str) -> None:
        """Count one death more than were found, in advance: it is taken back, with the row, if the process lives on."""
        # Not what it is now and one more: whoever begins again after an outage of the database has not died.
        row = type(self).objects.filter(pk=self.pk)
        row.update(deaths=self.deaths + 1, owner=owner, begun_at=DatabaseNow())


def _at(offsets: Mapping[Place, Collection[int]]) -> Q:
    condition = Q()
    for (topic, partition), of_place in offsets.items():
        condition |= Q(topic=topic, partition=partition, offset__in=of_place)
    return condition
