"""Which exceptions say that something out there is down, rather than that a message is bad."""

import errno
from collections.abc import Iterator, Sequence
from typing import Final

from django_dlq.exceptions import DependencyDown, HandlerDecision, TimeLimitExceeded

CLASSES: Final = (ConnectionError, TimeoutError, TimeLimitExceeded)

# By name, so that none of these libraries is needed. As in `except`, each stands for its subclasses.
PATHS: Final = frozenset(
    {
        "socket.gaierror",
        "http.client.RemoteDisconnected",
        "urllib.error.URLError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.Timeout",
        "requests.exceptions.ChunkedEncodingError",
        "urllib3.exceptions.MaxRetryError",
        "urllib3.exceptions.NewConnectionError",
        "urllib3.exceptions.ProtocolError",
        "urllib3.exceptions.TimeoutError",
        "httpx.TransportError",
        "aiohttp.client_exceptions.ClientConnectionError",
        "redis.exceptions.ConnectionError",
        "redis.exceptions.TimeoutError",
        "botocore.exceptions.HTTPClientError",
    }
)

ERRNOS: Final = frozenset({errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH})

ANSWERS: Final = frozenset({502, 503, 504})
"""What a gateway says in the place of the service behind it."""


def is_outage(error: BaseException, named: Sequence[type[BaseException]] = ()) -> bool:
    """Tell whether an error, or what it was raised from, says that something is down.

    `named`: the only classes that say so; without any, those of the network: refused and broken connections, timeouts,
    and HTTP's 502, 503 and 504, whichever library they come from. DependencyDown always does, and RetryLater, Reject
    and Skip never do: a handler that decides has an answer.
    """
    if isinstance(error, HandlerDecision):
        return False
    return any(isinstance(each, DependencyDown) or _says_so(each, named) for each in _with_causes(error))


def _says_so(error: BaseException, named: Sequence[type[BaseException]]) -> bool:
    if named:
        return isinstance(error, tuple(named))
    if (status := _status(error)) is not None:
        return status in ANSWERS
    if isinstance(error, CLASSES) or (isinstance(error, OSError) and error.errno in ERRNOS):
        return True
    return any(f"{cls.__module__}.{cls.__qualname__}" in PATHS for cls in type(error).__mro__)


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an error is about: of requests' and httpx's errors, of urllib's."""
    of_answer = getattr(getattr(error, "response", None), "status_code", None)
    status = getattr(error, "code", None) if of_answer is None else of_answer
    return status if isinstance(status, int) else None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__
