"""The URLs: path("dlq/", include("django_dlq.api.urls"))."""

from importlib import import_module

from django.apps import apps
from rest_framework.routers import SimpleRouter

from django_dlq.api.half_messages import HalfMessageViewSet
from django_dlq.api.views import DeadLetterViewSet, OutboxViewSet, PublishedViewSet

if apps.is_installed("drf_spectacular"):
    import_module("django_dlq.api.schema")

app_name = "django_dlq"

router = SimpleRouter()
router.register("dead-letters", DeadLetterViewSet, basename="deadletter")
router.register("outbox", OutboxViewSet, basename="outbox")
router.register("published", PublishedViewSet, basename="published")
router.register("half-messages", HalfMessageViewSet, basename="halfmessage")

urlpatterns = router.urls
