"""The services that publish over HTTP: who they are, what they may, and their secrets."""

import hashlib
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.display import absolute
from django_dlq.admin.links import row_link
from django_dlq.admin.producer_form import ProducerForm
from django_dlq.admin.read_only import column
from django_dlq.models import Producer
from django_dlq.producer_checks import why_not_called


@admin.register(Producer)
class ProducerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Producers are added and changed with Django's own permissions, and never deleted: their messages name them."""

    form = ProducerForm
    change_form_template = "admin/django_dlq/producer/change_form.html"
    list_display = ("name", "user", "which_topics", "is_active", "asked")
    list_select_related = ("user",)
    raw_id_fields = ("user",)
    search_fields = ("name",)
    ordering = ("name",)

    class Media:
        css = {"all": ["django_dlq/admin.css"]}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: one that shall no longer publish is made inactive."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the name, which half messages carry, as it is."""
        return ("name", "secrets", "asked", "created") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Show what cannot be typed once there is something to show."""
        typed = ("name", "user", "topics", "callback_url", "is_active")
        return (*typed, "secrets", "asked", "created") if obj else typed

    @column(gettext_lazy("topics"))
    def which_topics(self, row: Producer) -> str:
        """Show the topics in one line."""
        return ", ".join(row.topics)

    @column(gettext_lazy("secrets"))
    def secrets(self, row: Producer) -> str:
        """Show how many there are, and never which."""
        words = (
            _("none yet: it is not asked before it has one"),
            _("one"),
            _("two: the new one, and the old one until you forget it"),
        )
        return words[len(row.secrets)]

    @column(gettext_lazy("asked what became of a message"))
    def asked(self, row: Producer) -> str:
        """Show whether it would be asked, or why not."""
        return why_not_called(row) or _("yes")

    @column(gettext_lazy("created"))
    def created(self, row: Producer) -> str:
        """Show since when it is known."""
        return absolute(row.created_at)

    def get_urls(self) -> list[URLPattern]:
        """Add the page of the secrets."""
        view = self.admin_site.admin_view(self.secret_view)
        return [path("<path:object_id>/secret/", view, name="django_dlq_producer_secret"), *super().get_urls()]

    def response_add(self, request: HttpRequest, obj: Producer, post_url_continue: str | None = None) -> HttpResponse:
        """Go on to the secret: without one the producer is not asked."""
        super().response_add(request, obj, post_url_continue)
        return HttpResponseRedirect(row_link(self.admin_site, obj, "secret"))

    def secret_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask before a secret is replaced or forgotten; show a new one this once, and nowhere else."""
        row = self.get_object(request, unquote(object_id))
        if row is None or not self.has_change_permission(request, row):
            raise PermissionDenied
        if request.method != "POST":
            return self._page(request, row)
        if request.POST.get("present") != _digest(row):
            # Whoever reloads the page that shows a secret would else make another one, and the first would be lost.
            messages.warning(request, _("The secrets were changed meanwhile. Nothing was done."))
            return HttpResponseRedirect(row_link(self.admin_site, row, "secret"))
        if "forget" in request.POST:
            row.forget_old_secret()
            self.log_change(request, row, _("Forgot the old secret."))
            messages.success(request, _("Only the newest secret is valid now."))
            return HttpResponseRedirect(row_link(self.admin_site, row))
        secret = row.replace_secret()
        self.log_change(request, row, _("Made a new secret."))
        return self._page(request, row, shown=secret.reveal())

    def _page(self, request: HttpRequest, row: Producer, *, shown: str = "") -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": _("Secret of %(name)s") % {"name": row},
            "row": row,
            "shown": shown,
            "present": _digest(row),
            "back_url": row_link(self.admin_site, row),
        }
        response = TemplateResponse(request, "admin/django_dlq/producer/secret.html", context)
        response["Cache-Control"] = "no-store"
        return response


def _digest(row: Producer) -> str:
    """Return what tells one state of the secrets from another, and nothing about them."""
    return hashlib.sha256(f"{row.secret} {row.old_secret}".encode()).hexdigest()
