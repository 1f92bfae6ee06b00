"""Services that are not Django, and publish through this one."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from django_dlq.callback.addresses import LONGEST_URL, target_of
from django_dlq.callback.signature import Secret
from django_dlq.exceptions import CheckerUnreachable
from django_dlq.message import IDENTITY_LENGTH, is_among, is_text
from django_dlq.models.clock import DatabaseNow
from django_dlq.models.primary import PrimaryManager


def check_callback_url(url: str) -> None:
    """Raise ValidationError unless this is a URL that could be called; whether it may be is up to the settings."""
    try:
        target_of(url)
    except CheckerUnreachable as error:
        raise ValidationError(str(error)) from error


def check_topics(topics: Any) -> None:
    """Raise ValidationError unless these are names of topics, or beginnings of names that end with a `*`."""
    if not isinstance(topics, list) or not topics:
        raise ValidationError(_("Name at least one topic."))
    for topic in topics:
        if not is_text(topic) or not 0 < len(topic) <= IDENTITY_LENGTH or "*" in topic[:-1]:
            text = _("%(topic)s is not the name of a topic, nor the beginning of one that ends with a *.")
            raise ValidationError(text, params={"topic": repr(topic)})


class Producer(models.Model):
    """A service that prepares half messages over HTTP and decides them, as one user, to the topics that it may.

    Its secrets lie in the database as they are: a signature takes the secret itself, so that a digest, as of a
    password, would not do.
    """

    name = models.CharField(_("name"), max_length=100, unique=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("user"),
        help_text=_("Who signs in for the service. A user stands for one producer at most."),
    )
    topics = models.JSONField(
        _("topics"),
        validators=[check_topics],
        help_text=_("One per line; a * ends the beginning of names."),
    )
    callback_url = models.CharField(
        _("callback URL"),
        max_length=LONGEST_URL,
        validators=[check_callback_url],
        help_text=_("Where it is asked what became of a half message that it never decided."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    secret = models.CharField(_("secret"), max_length=255, blank=True, default="", editable=False)
    # Still good until the service has been given the new one.
    old_secret = models.CharField(_("old secret"), max_length=255, blank=True, default="", editable=False)
    created_at = models.DateTimeField(_("created at"), db_default=DatabaseNow(), editable=False)

    objects = PrimaryManager["Producer"]()

    class Meta:
        verbose_name = _("producer")
        verbose_name_plural = _("producers")

    def __str__(self) -> str:
        return self.name

    @property
    def secrets(self) -> Sequence[Secret]:
        """The secrets that are valid, the newest first; none before the first one was made."""
        return [Secret(value) for value in (self.secret, self.old_secret) if value]

    def may_publish(self, topic: str) -> bool:
        """Tell whether it may publish to a topic."""
        return self.is_active and is_among(topic, self.topics)

    def replace_secret(self) -> Secret:
        """Make a new secret and return it; the one until now stays valid beside it, and one before that no longer."""
        fresh = Secret.fresh()
        self.old_secret, self.secret = self.secret, fresh.reveal()
        self.save(update_fields=["old_secret", "secret"])
        return fresh

    def forget_old_secret(self) -> None:
        """Let only the newest secret be valid."""
        self.old_secret = ""
        self.save(update_fields=["old_secret"])
