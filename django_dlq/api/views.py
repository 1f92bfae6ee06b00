"""The views: thin skins over the desk. GET never writes."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from django.db.models.functions import Left
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from django_dlq import deadletters
from django_dlq.api import problems, requests
from django_dlq.api.base import ProblemViewSet
from django_dlq.api.filters import (
    DeadLetterFilters,
    OutboxFilters,
    PublishedFilters,
    StrictFilterBackend,
    check_parameters,
)
from django_dlq.api.pagination import NewestFirst
from django_dlq.api.permissions import UNMASK, HasPermissions, actor_of, may_unmask
from django_dlq.api.serializers import (
    DeadLetterDetailSerializer,
    DeadLetterLineSerializer,
    OutboxMessageSerializer,
    PublishedMessageSerializer,
    ShownBody,
)
from django_dlq.models import DeadLetter, OutboxMessage, PublishedMessage

ENCODINGS = ("text", "base64")
SUMMARY_LENGTH = 300

VERBS: dict[str, tuple[str, ...]] = {
    # verb: the permissions it needs beside the one to view; who cannot see everything cannot correct it
    "replay": ("django_dlq.replay_deadletter",),
    "edit": ("django_dlq.edit_deadletter", UNMASK),
    "discard": ("django_dlq.discard_deadletter",),
    "restore": ("django_dlq.restore_deadletter",),
}


class MessageViewSet(mixins.ListModelMixin, ProblemViewSet):
    """What all three have in common: a list, read with the model's view permission."""

    model: ClassVar[type[Model]]
    permission_classes = (HasPermissions,)
    filter_backends = (StrictFilterBackend,)
    pagination_class = NewestFirst
    filterset_class: ClassVar[Any]
    parameters: ClassVar[dict[str, Sequence[str]]] = {}

    def permissions_needed(self) -> Sequence[str]:
        """Return the permissions that the present action needs."""
        return (f"{self.model._meta.app_label}.view_{self.model._meta.model_name}",)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse query strings that would not be obeyed to the letter."""
        super().initial(request, *args, **kwargs)
        if self.action == "list":
            filters = [*self.filterset_class.base_filters, "cursor", "page_size"]
            check_parameters(request, filters, repeatable=("state", "source"))
        elif self.action is not None:
            check_parameters(request, self.parameters.get(self.action, ()))

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows."""
        rows: QuerySet[Any] = self.model._default_manager.all()
        return rows.defer("body", "headers", "raw_key") if self.action == "list" else rows


class OutboxViewSet(MessageViewSet):
    """Messages that wait to be sent."""

    model = OutboxMessage
    serializer_class = OutboxMessageSerializer
    filterset_class = OutboxFilters


class PublishedViewSet(MessageViewSet):
    """Messages that were sent, as long as DLQ_PUBLISHED_RETENTION keeps them."""

    model = PublishedMessage
    serializer_class = PublishedMessageSerializer
    filterset_class = PublishedFilters


class DeadLetterViewSet(MessageViewSet):
    """Dead letters, and what a person may do about them.

    Each verb answers 202 with the letter: what becomes of the message is known later, and is read from `state`.
    """

    model = DeadLetter
    serializer_class = DeadLetterLineSerializer
    filterset_class = DeadLetterFilters
    parameters = {"retrieve": ("encoding",)}

    def permissions_needed(self) -> Sequence[str]:
        """Add the verb's own permissions."""
        return (*super().permissions_needed(), *VERBS.get(self.action or "", ()))

    def get_queryset(self) -> QuerySet[Any]:
        """Leave out of the list what is long."""
        rows: QuerySet[Any] = super().get_queryset()
        if self.action != "list":
            return rows
        lean = rows.defer("body", "headers", "raw_key", "error_message", "traceback")
        summarised: QuerySet[Any] = lean.annotate(error_summary=Left("error_message", SUMMARY_LENGTH))
        return summarised

    def get_object(self) -> DeadLetter:
        """Return the letter that the URL names."""
        text: str = self.kwargs["pk"]
        if not (text.isascii() and text.isdigit()):
            raise Http404
        letter: DeadLetter = get_object_or_404(self.get_queryset(), pk=text)
        self.check_object_permissions(self.request, letter)
        return letter

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return all of a dead letter. `?encoding=base64` gives the exact bytes to those who may see them."""
        encoding = request.query_params.get("encoding", "text")
        if encoding not in ENCODINGS:
            message = _("This is one of: %(allowed)s.") % {"allowed": ", ".join(ENCODINGS)}
            raise problems.InvalidParameter({"encoding": [message]})
        if encoding == "base64" and not may_unmask(request):
            raise PermissionDenied(_("You need the permission %(permission)s.") % {"permission": UNMASK})
        return Response(self._page(self.get_object(), encoding=encoding))

    @action(detail=True, methods=["post"])
    def replay(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Send the message again as it was, to the group that failed."""
        letter = self.get_object()
        deadletters.replay(letter, actor=actor_of(request), **requests.read(requests.OptionalReason, request))
        return self._accepted(letter)

    @action(detail=True, methods=["post"])
    def edit(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Send a corrected copy; the answer is the copy's own letter, which `corrects` this one."""
        letter = self.get_object()
        changes = requests.read(requests.Edit, request, letter=letter)
        copy = deadletters.edit(letter, actor=actor_of(request), **changes)
        copy.refresh_from_db()
        url = self.reverse_action("detail", kwargs={**self.kwargs, "pk": str(copy.pk)})
        return self._accepted(copy, headers={"Location": url})

    @action(detail=True, methods=["post"])
    def discard(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Settle the letter without sending it."""
        letter = self.get_object()
        deadletters.discard(letter, actor=actor_of(request), **requests.read(requests.Reason, request))
        return self._accepted(letter)

    @action(detail=True, methods=["post"])
    def restore(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a discarded letter dead again, or one whose replay was never heard of."""
        letter = self.get_object()
        deadletters.restore(letter, actor=actor_of(request), **requests.read(requests.OptionalReason, request))
        return self._accepted(letter)

    def _accepted(self, letter: DeadLetter, headers: dict[str, str] | None = None) -> Response:
        return Response(self._page(letter), status=status.HTTP_202_ACCEPTED, headers=headers)

    def _page(self, letter: DeadLetter, *, encoding: str = "text") -> dict[str, Any]:
        masked, user = not may_unmask(self.request), self.request.user
        context = {
            "shown": ShownBody.of(letter.body_bytes, masked=masked, encoding=encoding),
            "masked": masked,
            "verbs": [verb for verb, needed in VERBS.items() if letter.allows(verb) and user.has_perms(needed)],
        }
        return dict(DeadLetterDetailSerializer(letter, context=context).data)
