"""What handlers depend on: which circuits are open and why, opening and closing them, and replaying what died."""

from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_dlq.admin.asking import AskingAdmin, Question
from django_dlq.admin.dependency_verbs import CLOSE, OPEN, REPLAY
from django_dlq.admin.display import absent, absolute, one_line, two_lines, when
from django_dlq.admin.links import list_link, page_link
from django_dlq.admin.read_only import column
from django_dlq.models import Circuit, DeadLetter, Dependency
from django_dlq.registry import handlers

MOST_COUNTED: Final = 10_000


@admin.register(Dependency)
class DependencyAdmin(AskingAdmin):
    """The circuits. Opening, closing and replaying take a permission each, and are asked about on a page first."""

    verbs = (OPEN, CLOSE, REPLAY)
    detail_template = "admin/django_dlq/dependency/detail.html"
    list_display = ("dependency", "circuit", "why", "since", "died")
    list_display_links = ("dependency",)
    search_fields = exact_search = ()
    ordering = ("name",)
    empty_list = gettext_lazy("No dependency has failed yet.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person may open a circuit."""
        return self.may(request, OPEN)

    @column(gettext_lazy("dependency"), "name")
    def dependency(self, row: Dependency) -> SafeString:
        """Show the name, and how many handlers need it."""
        count = len(_needing(row))
        return two_lines(row.name, ngettext("%(n)d handler", "%(n)d handlers", count) % {"n": count})

    @column(gettext_lazy("circuit"), "state")
    def circuit(self, row: Dependency) -> SafeString:
        """Show whether handlers run."""
        return two_lines(row.get_state_display(), _says(row))

    @column(gettext_lazy("why"))
    def why(self, row: Dependency) -> object:
        """Show the person's reason, or the last failure."""
        if row.is_by_hand:
            return two_lines(one_line(row.reason), _("by %(name)s") % {"name": row.actor_name})
        return two_lines(row.error_class, one_line(row.error_message)) if row.error_class else absent(None)

    @column(gettext_lazy("open since"), "opened_at")
    def since(self, row: Dependency) -> object:
        """Show since when it is not closed."""
        return when(row.opened_at) if row.opened_at else absent(None)

    @column(gettext_lazy("died of it"))
    def died(self, row: Dependency) -> str:
        """Show how many dead letters failed because of it."""
        return _counted(row)

    def row_context(self, request: HttpRequest, row: Dependency) -> dict[str, Any]:
        """Return the circuit, what it means, and what may be done."""
        facts = [
            (_("Circuit"), row.get_state_display()),
            (_("Open since"), absent(absolute(row.opened_at) if row.opened_at else None)),
            *([(_("Opened by"), row.actor_name), (_("Reason"), row.reason)] if row.is_by_hand else []),
            (_("Failures in a row"), row.failures),
            (_("Failed probes"), row.trials),
            (_("Next probe"), absent(absolute(row.next_probe_at) if row.next_probe_at else None)),
            (_("Last failure"), when(row.failed_at) if row.failed_at else absent(None)),
            (_("Error"), absent(f"{row.error_class}: {row.error_message}" if row.error_class else None)),
            (_("Handlers"), absent(", ".join(_needing(row)) or None)),
        ]
        dead = _counted(row)
        return {
            "facts": facts,
            "advice": _advice(row),
            "dead": "" if dead == "0" else dead,
            "letters_url": list_link(request, self.admin_site, DeadLetter, dependency=row.name),
            "is_replaying": row.replay_until is not None,
            "open_url": self._open_url(request, row),
            "close_url": "" if row.state == Circuit.CLOSED else self.way_to(request, CLOSE, row),
            "replay_url": self.way_to(request, REPLAY, row),
        }

    def question_context(self, verb: Question, row: Dependency | None) -> dict[str, Any]:
        """Return the words of a question; before a replay they say how many letters there are."""
        context = super().question_context(verb, row)
        if verb is not REPLAY or row is None:
            return context
        text = ngettext(
            "%(n)s letter died of it, and will be replayed as soon as the circuit is closed.",
            "%(n)s letters died of it, and will be replayed as soon as the circuit is closed.",
            row.dead()[: MOST_COUNTED + 1].count(),
        )
        return context | {"effect": text % {"n": _counted(row)}}

    def _open_url(self, request: HttpRequest, row: Dependency) -> str:
        if row.is_by_hand or not _needing(row) or not self.may(request, OPEN):
            return ""
        return page_link(self.admin_site, Dependency, OPEN.name, dependency=row.name)


def _needing(row: Dependency) -> list[str]:
    return sorted(handler.name for handler in handlers.handlers if handler.depends_on == row.name)


def _counted(row: Dependency) -> str:
    count = row.dead()[: MOST_COUNTED + 1].count()
    return f"{MOST_COUNTED}+" if count > MOST_COUNTED else str(count)


def _says(row: Dependency) -> str:
    if row.state == Circuit.CLOSED:
        return _("handlers run")
    return _("one message is tried") if row.state == Circuit.HALF_OPEN else _("handlers wait")


def _advice(row: Dependency) -> str:
    if row.state == Circuit.CLOSED:
        return _("Handlers that need it run.")
    if row.is_by_hand:
        return _("Handlers that need it wait until a person closes the circuit. Their messages are safe in the broker.")
    if row.state == Circuit.HALF_OPEN:
        return _("It seems to be back: one message is tried. If it is handled, all go on.")
    return _("Handlers that need it wait, and it is probed. Their messages are safe in the broker, and pay no attempt.")
