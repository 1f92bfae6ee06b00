"""What people do that has no timeline of its own, written to the admin's history."""

from typing import Final

from django.apps import apps
from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Model

# As django.contrib.admin.models calls them, which can be imported only where it is installed.
ADDITION: Final = 1
CHANGE: Final = 2
DELETION: Final = 3


def record(row: Model, *, actor: AbstractBaseUser | str, flag: int, said: str) -> None:
    """Write a user's act to the admin's own history, which outlives the row; a program's act is only logged."""
    if isinstance(actor, str) or not apps.is_installed("django.contrib.admin"):
        return
    types = apps.get_model("contenttypes", "ContentType").objects
    apps.get_model("admin", "LogEntry").objects.create(
        user_id=actor.pk,
        content_type=types.get_for_model(type(row)),
        object_id=str(row.pk),
        object_repr=str(row)[:200],
        action_flag=flag,
        change_message=said,
    )


def name_of(actor: AbstractBaseUser | str) -> str:
    """Return the name under which an act is kept."""
    return actor if isinstance(actor, str) else actor.get_username()
