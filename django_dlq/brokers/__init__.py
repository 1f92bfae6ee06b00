"""The brokers named in DLQ_BROKERS, by alias: `brokers["default"]`."""

from typing import Any

from asgiref.local import Local
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.connection import BaseConnectionHandler, ConnectionDoesNotExist
from django.utils.module_loading import import_string

from django_dlq.brokers.base import Broker


class UnknownBroker(ConnectionDoesNotExist):
    """DLQ_BROKERS has no such alias."""


class BrokerHandler(BaseConnectionHandler):  # type: ignore[type-arg]  # not subscriptable at run time
    """Make each broker when it is first asked for, one per thread, as Django does with database connections."""

    settings_name = "DLQ_BROKERS"
    exception_class = UnknownBroker

    def create_connection(self, alias: str) -> Broker:
        """Make the broker that DLQ_BROKERS describes under this alias."""
        configured: dict[str, Any] = self.settings[alias]
        backend: type[Broker] = import_string(configured["BACKEND"])
        return backend(alias, configured.get("OPTIONS", {}))


brokers = BrokerHandler()


@receiver(setting_changed)
def _forget_brokers(*, setting: str, **_: object) -> None:
    """Let override_settings(DLQ_BROKERS=...) take effect, as Django does for CACHES."""
    if setting == "DLQ_BROKERS":
        brokers._settings = brokers.settings = brokers.configure_settings(None)  # type: ignore[attr-defined]
        brokers._connections = Local()  # type: ignore[attr-defined]
