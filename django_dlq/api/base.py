"""What all views have in common. Authentication, rendering and throttling are as the project has set them up."""

from typing import Any

from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from django_dlq.api import problems


class ProblemViewSet(GenericViewSet[Any]):
    """Take JSON, and answer every error with a problem."""

    parser_classes = (JSONParser,)

    def get_exception_handler(self) -> Any:
        """Answer every error with a problem, whatever the project's other APIs do."""
        return problems.answer

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Name the media type of problems."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if getattr(response, "exception", False) and response.accepted_renderer.media_type == "application/json":
            response.content_type = problems.MEDIA_TYPE
        return response
