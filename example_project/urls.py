"""The pages of the example: the shop, its control room, the admin, and the API for dead letters."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("django_dlq.api.urls")),
    path("", include("example_project.shop.urls")),
]
