"""Who may do what: Django's model permissions, the same as in the admin."""

from typing import Any

from django.contrib.auth import get_user_model
from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from django_dlq.models import Actor

UNMASK = "django_dlq.unmask_deadletter"


class HasPermissions(BasePermission):
    """Let in who is signed in and has every permission that the view names for this action.

    The project's DEFAULT_PERMISSION_CLASSES do not count: they may be open to all.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Compare the view's `permissions_needed()` with the user's, and say what is missing."""
        user = request.user
        if not (user and user.is_authenticated):
            return False
        missing = [name for name in view.permissions_needed() if not user.has_perm(name)]
        self.message = _("You need the permission %(permission)s.") % {"permission": ", ".join(missing)}
        return not missing


def may_unmask(request: Request) -> bool:
    """Tell whether the user may see secrets and personal data."""
    return bool(request.user and request.user.has_perm(UNMASK))


def actor_of(request: Request) -> Actor:
    """Return the user, or only its name where the authentication knows users that are not in the database."""
    user: Any = request.user
    return user if isinstance(user, get_user_model()) else str(user)
