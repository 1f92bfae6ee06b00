"""The keys that wait: an ordered handler has failed on one of their messages, and takes no later one before it."""

import hashlib
from collections.abc import Collection

from django.db import connections, models
from django.utils.translation import gettext_lazy as _

from django_dlq.models.primary import PrimaryManager


class WaitingKeyManager(PrimaryManager["WaitingKey"]):
    """The words in which the machines and the desk speak of keys that wait.

    Who opens or settles a letter of a key locks the key's row, after the letter itself and before any other letter of
    the key. So nothing is parked at the moment at which the last one before it is settled, and no two wait in a circle.
    """

    def among(self, order_keys: Collection[str]) -> set[str]:
        """Return those of these keys that wait."""
        return set(self.filter(order_key__in=order_keys).values_list("order_key", flat=True)) if order_keys else set()

    def lock(self, order_key: str) -> "WaitingKey | None":
        """Lock a key until the end of the transaction, if it waits."""
        return self.select_for_update().filter(order_key=order_key).first()

    def hold(self, *order_keys: str) -> None:
        """Let these keys wait if they do not yet, and lock them until the end of the transaction."""
        named = connections[self.db].features.supports_update_conflicts_with_target
        for order_key in sorted(order_keys):  # in one order everywhere
            # An update that changes nothing is how every database locks a row that may have to be inserted first.
            self.bulk_create(
                [WaitingKey(order_key=order_key)],
                update_conflicts=True,
                update_fields=["order_key"],
                unique_fields=["order_key"] if named else None,
            )


class WaitingKey(models.Model):
    """A key in a group and topic of which some letter is open. The row goes when the last of them is settled."""

    order_key = models.CharField(max_length=64, unique=True, editable=False)

    objects = WaitingKeyManager()

    class Meta:
        verbose_name = _("waiting key")
        verbose_name_plural = _("waiting keys")

    def __str__(self) -> str:
        return self.order_key


def order_key(group: str, topic: str, key: bytes | None) -> str | None:
    """Return what letters share whose messages are handled one after the other: a digest; None without a key."""
    if key is None:
        return None
    return hashlib.sha256(b"\x00".join((group.encode(), topic.encode(), key))).hexdigest()
