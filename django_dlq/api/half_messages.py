"""Half messages for services that are not Django: prepare, look, commit, roll back."""

from io import BytesIO
from typing import IO, Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from django_dlq import producers, tracing
from django_dlq.api import requests
from django_dlq.api.base import ProblemViewSet
from django_dlq.api.filters import check_parameters
from django_dlq.api.half_requests import Nothing, Prepare
from django_dlq.api.half_serializers import HalfMessageSerializer
from django_dlq.api.problems import InvalidParameter, RequestTooLarge
from django_dlq.conf import conf
from django_dlq.models import HalfMessage, Producer

IDEMPOTENCY_KEY = "Idempotency-Key"
LONGEST_KEY = 255
ROOM = 65_536
"""What a request may have beside the message: names, escapes, and the other fields."""


class SmallJSONParser(JSONParser):
    """Read no more than a message can be: Django's own limit does not hold for what REST framework reads."""

    def parse(self, stream: IO[Any], media_type: Any = None, parser_context: Any = None) -> Any:
        """Parse the JSON; raise RequestTooLarge if there is too much of it."""
        most = 2 * conf.DLQ_MAX_MESSAGE_BYTES + ROOM
        data = stream.read(most + 1)
        if len(data) > most:
            raise RequestTooLarge(_("The request is longer than %(most)s bytes.") % {"most": most})
        return super().parse(BytesIO(data), media_type, parser_context)


class IsProducer(BasePermission):
    """Let in who signs in as an active producer. Django's permissions do not count here, and a superuser is none."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Look the producer up, and keep it for the view."""
        if not (request.user and request.user.is_authenticated):
            return False
        view.producer = Producer.objects.filter(user_id=request.user.pk, is_active=True).first()
        self.message = _("You are no producer, or not an active one.")
        return view.producer is not None


class HalfMessageViewSet(ProblemViewSet):
    """What a producer has prepared. It sees, and decides, its own half messages only.

    `prepare` must be durable before it answers, so the views are in no transaction, also with ATOMIC_REQUESTS.
    """

    permission_classes = (IsProducer,)
    parser_classes = (SmallJSONParser,)
    serializer_class = HalfMessageSerializer
    filter_backends = ()
    pagination_class = None
    producer: Producer

    @classmethod
    def as_view(cls, *args: Any, **kwargs: Any) -> Any:
        """Return the view, which ATOMIC_REQUESTS leaves alone."""
        return transaction.non_atomic_requests(super().as_view(*args, **kwargs))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse query strings: there is nothing to be said in one."""
        super().initial(request, *args, **kwargs)
        if self.action is not None:
            check_parameters(request, ())

    def get_queryset(self) -> QuerySet[HalfMessage]:
        """Return the producer's own."""
        return HalfMessage.objects.filter(producer=self.producer.name)

    def get_object(self) -> HalfMessage:
        """Return the half message that the URL names."""
        text: str = self.kwargs["pk"]
        if not (text.isascii() and text.isdigit()):
            raise Http404
        half: HalfMessage = get_object_or_404(self.get_queryset(), pk=text)
        return half

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Prepare a half message: nobody sees it until it is committed.

        The header `Idempotency-Key` makes it safe to ask again: the same key with the same message is the same half
        message, and answers 200 in place of 201.
        """
        key = self._idempotency_key(request)
        with tracing.continuing(request.headers):
            half, is_new = producers.prepare(self.producer, **requests.read(Prepare, request), idempotency_key=key)
        half.refresh_from_db()  # the moments are the database's
        url = self.reverse_action("detail", kwargs={**self.kwargs, "pk": str(half.pk)})
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(HalfMessageSerializer(half).data, status=code, headers={"Location": url})

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return a half message, to see what became of it."""
        return self._answer(self.get_object())

    @action(detail=True, methods=["post"])
    def commit(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Let the message be sent; done already, it answers the same."""
        half = self.get_object()
        requests.read(Nothing, request)
        producers.commit(self.producer, half)
        return self._answer(half)

    @action(detail=True, methods=["post"])
    def rollback(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Let the message never be sent; done already, it answers the same."""
        half = self.get_object()
        requests.read(Nothing, request)
        producers.rollback(self.producer, half)
        return self._answer(half)

    def _answer(self, half: HalfMessage) -> Response:
        return Response(HalfMessageSerializer(half).data)

    def _idempotency_key(self, request: Request) -> str | None:
        text: str | None = request.headers.get(IDEMPOTENCY_KEY)
        if text is None:
            return None
        if not 0 < len(text) <= LONGEST_KEY or not (text.isascii() and text.isprintable()):
            message = _("This is 1 to %(most)s characters of printable ASCII.") % {"most": LONGEST_KEY}
            raise InvalidParameter({IDEMPOTENCY_KEY: [message]})
        return text
