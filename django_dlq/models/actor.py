"""Who has done something: an account, beside which rows keep its name, since the name outlives the account."""

from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.utils.translation import gettext_lazy as _

Actor = AbstractBaseUser | str
"""A user, or the name of a program that acts on its own."""


ACTOR = _("actor")


def actor_field(verbose_name: Any = ACTOR) -> "models.ForeignKey[Any, Any]":
    """Return the column of an account that may go, and of which nothing else needs to know."""
    return models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=verbose_name,
    )
