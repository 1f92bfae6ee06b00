"""The Django app."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class DjangoDlqConfig(AppConfig):
    """Find the handlers of every installed app, and register the system checks."""

    name = "django_dlq"
    verbose_name = _("Messages and dead letters")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import what registers itself by being imported."""
        from django_dlq import checks, producer_checks  # noqa: F401, PLC0415  # models must be loaded first
        from django_dlq.conf import conf  # noqa: PLC0415

        autodiscover_modules(conf.DLQ_HANDLERS_MODULE)
