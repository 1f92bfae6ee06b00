"""The partitions that consumers have taken messages from, and have not given back."""

from collections.abc import Collection, Iterable
from functools import reduce
from operator import or_

from django.db import connections, models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from django_dlq.message import IDENTITY_LENGTH, Place
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.fields import ExactCharField
from django_dlq.models.primary import PrimaryManager


class TakenPartitionManager(PrimaryManager["TakenPartition"]):
    """The words in which consumers speak of what they take and give back."""

    def take(self, owner: str, group: str, places: Collection[Place]) -> set[Place]:
        """Write down that a consumer has taken these; return those that somebody has taken and not given back.

        He may have died, or be on his way to give them back: that cannot be told from here.
        """
        found = self.filter(at_places(places), group=group).exclude(owner=owner)
        left = set(found.values_list("topic", "partition"))
        named = connections[self.db].features.supports_update_conflicts_with_target
        self.bulk_create(
            [self.model(owner=owner, group=group, topic=topic, partition=number) for topic, number in sorted(places)],
            update_conflicts=True,
            update_fields=["owner", "taken_at"],
            unique_fields=["group", "topic", "partition"] if named else None,
        )
        return left

    def give_back(self, owner: str, group: str, places: Collection[Place]) -> None:
        """Write down that nothing of these is in this consumer's hands any more."""
        if places:
            self.filter(at_places(places), group=group, owner=owner).delete()


class TakenPartition(models.Model):
    """One partition in the hands of one consumer. The row of one that has died stays, until another takes it over."""

    group = ExactCharField(_("group"), max_length=100)
    topic = ExactCharField(_("topic"), max_length=IDENTITY_LENGTH)
    partition = models.IntegerField(_("partition"))
    owner = models.CharField(_("consumer"), max_length=255)
    taken_at = models.DateTimeField(_("taken at"), db_default=DatabaseNow())

    objects = TakenPartitionManager()

    class Meta:
        verbose_name = _("taken partition")
        verbose_name_plural = _("taken partitions")
        constraints = [models.UniqueConstraint(fields=["group", "topic", "partition"], name="dlq_taken_once")]

    def __str__(self) -> str:
        return f"{self.group} {self.topic}-{self.partition}"


def at_places(places: Iterable[Place]) -> Q:
    """Return the condition of rows of these partitions; there must be at least one."""
    return reduce(or_, (Q(topic=topic, partition=number) for topic, number in places))
