"""Consumer groups that take nothing any more: too many of their messages failed in one release."""

import hashlib
import json
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_dlq.models.actor import actor_field
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.fields import ExactCharField
from django_dlq.models.primary import PrimaryManager


class StoppedGroupManager(PrimaryManager["StoppedGroup"]):
    """The words in which consumers speak of stops."""

    def standing(self, release: str) -> dict[str, "StoppedGroup"]:
        """Return the stops that nobody has ended, of one release, by group; with one query."""
        return {stop.group: stop for stop in self.filter(release=release, stop_key__isnull=False)}

    def stop(self, *, group: str, release: str, **facts: Any) -> tuple["StoppedGroup", bool]:
        """Stop a group in one release; return the stop, and whether this call made it or somebody was faster."""
        columns = {"group": group, "release": release, **facts}
        stop, is_new = self.get_or_create(stop_key=stop_key(group, release), defaults=columns)
        if is_new:
            stop.refresh_from_db()  # what the database's clock has filled in
        return stop, is_new


class StoppedGroup(models.Model):
    """One stop of a group: why, and who ended it. Processes of other releases are not concerned."""

    group = ExactCharField(_("group"), max_length=255)
    release = ExactCharField(_("release"), max_length=255, blank=True, default="")
    # While it stands; several ended ones may be of the same group and release.
    stop_key = models.CharField(max_length=64, null=True, unique=True, editable=False)
    stopped_at = models.DateTimeField(_("stopped at"), db_default=DatabaseNow())
    handler = models.CharField(_("handler"), max_length=255)
    failed = models.PositiveIntegerField(_("failed"))
    out_of = models.PositiveIntegerField(_("out of"))
    error_class = models.CharField(_("error class"), max_length=255)
    error_message = models.TextField(_("error message"))
    fingerprint = models.CharField(_("fingerprint"), max_length=32)
    resumed_at = models.DateTimeField(_("resumed at"), null=True, blank=True)
    actor = actor_field()
    # The name outlives the account.
    actor_name = models.CharField(_("actor's name"), max_length=255, blank=True, default="")
    reason = models.TextField(_("reason"), blank=True, default="")

    objects = StoppedGroupManager()

    class Meta:
        verbose_name = _("stopped group")
        verbose_name_plural = _("stopped groups")
        permissions = [("resume_stoppedgroup", "Can resume stopped groups")]

    def __str__(self) -> str:
        return f"{self.group} in release {self.release}" if self.release else self.group

    @property
    def is_standing(self) -> bool:
        """Whether nobody has ended it."""
        return self.stop_key is not None

    def end(self, **columns: Any) -> bool:
        """Let the group go on; return whether this call did, and not somebody who was faster."""
        standing = type(self).objects.filter(pk=self.pk, stop_key__isnull=False)
        if not standing.update(stop_key=None, resumed_at=DatabaseNow(), **columns):
            return False
        self.refresh_from_db()
        return True


def stop_key(group: str, release: str) -> str:
    """Return what two stops of one group in one release share; the database keeps it unique while they stand."""
    return hashlib.sha256(json.dumps([group, release]).encode()).hexdigest()
