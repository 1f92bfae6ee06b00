"""The two pages of edit and replay: the form, and the comparison that is confirmed."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.db import router, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from django_dlq import deadletters
from django_dlq.admin.choosing import ChoosingAdmin
from django_dlq.admin.display import badge
from django_dlq.admin.editing.difference import differences
from django_dlq.admin.editing.forms import MOST_HEADERS, EditForm, HeaderFormSet
from django_dlq.admin.letter_verbs import EDIT
from django_dlq.admin.links import filtered_link, row_link
from django_dlq.admin.message_page import identity_facts, message_context
from django_dlq.deadletters import UNCHANGED
from django_dlq.exceptions import DeskError, IllegalTransition, PublishError
from django_dlq.message import RESERVED
from django_dlq.models import DeadLetter

ROOM_FOR_THE_REST = 200_000
"""Bytes of a form that are left for everything but the body."""


def edit_view(request: HttpRequest, admin: ChoosingAdmin, object_id: str) -> HttpResponse:
    """Show the form; on POST compare, and only what was compared is sent."""
    admin.allowed_or_403(request, EDIT)
    letter: DeadLetter | None = admin.get_object(request, unquote(object_id))
    if letter is None:
        raise Http404
    why_not = admin.why_not(request, EDIT, letter) or _too_large(letter)
    if request.method != "POST":
        if why_not:
            messages.warning(request, _("This letter cannot be edited: %(why)s.") % {"why": why_not})
            return HttpResponseRedirect(row_link(admin.admin_site, letter))
        filters = request.GET.get("_changelist_filters", "")
        form = EditForm(letter=letter, initial={"seen": _version(letter), "filters": filters})
        return _form_page(request, admin, letter, form=form, headers=_headers(letter))
    form, headers = EditForm(request.POST, letter=letter), _headers(letter, request.POST)
    problem = why_not and _("Nothing was sent: %(why)s. What you typed is kept below.") % {"why": why_not}
    # Both are validated, so that every mistake is told at once.
    if not all([form.is_valid(), headers is None or headers.is_valid()]) or problem or "back" in request.POST:
        return _form_page(request, admin, letter, form=form, headers=headers, problem=problem)
    changes = _changes(form, headers)
    if all(change is UNCHANGED for change in changes.values()):
        problem = _("Nothing was changed. To send the message as it was, replay it.")
    elif "send" in request.POST:
        try:
            return _send(request, admin, form, changes)
        except (DeskError, PublishError) as error:
            problem = _("Nothing was sent: %(why)s. What you typed is kept below.") % {"why": error}
            letter.refresh_from_db()
    if problem:
        return _form_page(request, admin, letter, form=form, headers=headers, problem=problem)
    return _preview_page(request, admin, letter, form=form, headers=headers, changes=changes)


def _send(request: HttpRequest, admin: ChoosingAdmin, form: EditForm, changes: dict[str, Any]) -> HttpResponse:
    """Send the copy, unless anything has happened to the letter since the person saw it."""
    using = router.db_for_write(DeadLetter)
    with transaction.atomic(using=using):
        letter = DeadLetter.objects.using(using).select_for_update().get(pk=form.letter.pk)
        if _version(letter) != form.cleaned_data["seen"]:
            raise IllegalTransition(
                _("something has happened to the letter since you opened it; look at its timeline, then send again")
            )
        wanted = {name: change for name, change in changes.items() if change is not UNCHANGED}
        user: Any = request.user
        copy = deadletters.edit(letter, actor=user, reason=form.cleaned_data["reason"], **wanted)
    said = _("An edited copy was sent in its place. It tells what becomes of it:")
    link = row_link(admin.admin_site, copy)
    messages.success(request, format_html('{} <a href="{}">{} {}</a>', said, link, _("dead letter"), copy.pk))
    return HttpResponseRedirect(filtered_link(admin.admin_site, DeadLetter, form.cleaned_data["filters"]))


def _changes(form: EditForm, headers: Any) -> dict[str, Any]:
    return {
        "body": form.edited_body(),
        "key": form.edited_key(),
        "headers": UNCHANGED if headers is None else headers.edited(),
        "tag": form.edited_tag(),
    }


def _headers(letter: DeadLetter, data: Any = None) -> Any:
    """Return the rows of headers, or None for a letter with more than a form can take."""
    originals = letter.publisher_headers()
    return HeaderFormSet(data, originals=originals) if len(originals) <= MOST_HEADERS else None


def _form_page(
    request: HttpRequest, admin: ChoosingAdmin, letter: DeadLetter, *, form: EditForm, headers: Any, problem: str = ""
) -> HttpResponse:
    if form.is_bound:  # the person has now been told of the letter's present state
        data: Any = form.data
        form.data = data = data.copy()
        data["seen"] = _version(letter)
    own = [(name, value) for name, value in letter.headers if name in RESERVED]
    context = {
        "title": _("Edit and replay"),
        "problem": problem,
        "facts": identity_facts(letter),
        "own_headers": ", ".join(name for name, _value in own),
        **message_context(request, letter),
    }
    return _page(request, admin, letter, name="edit", form=form, headers=headers, context=context)


def _preview_page(
    request: HttpRequest,
    admin: ChoosingAdmin,
    letter: DeadLetter,
    *,
    form: EditForm,
    headers: Any,
    changes: dict[str, Any],
) -> HttpResponse:
    context = {
        "title": _("Edit and replay?"),
        "effect": EDIT.effect,
        "differences": differences(letter, changes),
        "typed": _typed(request),
    }
    return _page(request, admin, letter, name="edit_preview", form=form, headers=headers, context=context)


def _page(
    request: HttpRequest,
    admin: ChoosingAdmin,
    letter: DeadLetter,
    *,
    name: str,
    form: Any,
    headers: Any,
    context: dict[str, Any],
) -> HttpResponse:
    shared = {
        "letter": letter,
        "badge": badge(letter),
        "form": form,
        "header_rows": headers,
        "action": row_link(admin.admin_site, letter, "edit"),
        "back_url": row_link(admin.admin_site, letter),
    }
    template = f"admin/django_dlq/deadletter/{name}.html"
    return TemplateResponse(request, template, admin.page_context(request) | shared | context)


def _typed(request: HttpRequest) -> Sequence[tuple[str, str]]:
    """Return the form's fields as they came, to travel through the preview untouched."""
    buttons = {"csrfmiddlewaretoken", "preview", "send", "back"}
    return [(name, value) for name, values in request.POST.lists() if name not in buttons for value in values]


def _too_large(letter: DeadLetter) -> str:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    size = len(letter.body_bytes or b"") * 4 // 3
    if limit is not None and size + ROOM_FOR_THE_REST > limit:
        return _("its body is larger than DATA_UPLOAD_MAX_MEMORY_SIZE lets a form be")
    return ""


def _version(letter: DeadLetter) -> str:
    """Return what differs after anything has happened to a letter."""
    last = letter.events.order_by("-id").values_list("pk", flat=True).first()
    return f"{letter.state}-{last}"
