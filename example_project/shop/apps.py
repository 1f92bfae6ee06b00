"""The Django app of the example shop."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ShopConfig(AppConfig):
    """A shop for early learning."""

    name = "example_project.shop"
    verbose_name = _("Little Owl, the shop")
    default_auto_field = "django.db.models.BigAutoField"
