"""The shop in the admin: to look, not to write, since orders come from the shop alone."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from example_project.shop.models import Box, Course, CourseAccess, Order, RedPacket


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """Pages without a save button."""

    def has_add_permission(self, request: HttpRequest, *_: Any) -> bool:
        """Say no."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say no."""
        return False


@admin.register(Course)
class CourseAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """What is sold; prices may be changed."""

    list_display = ["name", "ages", "price"]


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """Who bought what."""

    list_display = ["__str__", "course", "parent_name", "child_name", "paid_at"]
    list_filter = ["course"]
    list_select_related = ["course"]
    search_fields = ["=id", "payment", "parent_name", "child_name"]


@admin.register(CourseAccess)
class CourseAccessAdmin(ReadOnlyAdmin):
    """Which child may open which course."""

    list_display = ["order", "granted_at"]
    list_select_related = ["order__course"]


@admin.register(Box)
class BoxAdmin(ReadOnlyAdmin):
    """What the logistics service has taken."""

    list_display = ["tracking", "order", "taken_at"]
    list_select_related = ["order"]
    search_fields = ["tracking", "=order__id"]


@admin.register(RedPacket)
class RedPacketAdmin(ReadOnlyAdmin):
    """The bonuses that were sent."""

    list_display = ["payment", "order", "amount", "sent_at"]
    list_select_related = ["order"]
    search_fields = ["payment", "=order__id"]
