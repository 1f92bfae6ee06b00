import errno
import http.client
import socket
import urllib.error
from types import SimpleNamespace

import pytest

from django_dlq.exceptions import DependencyDown, Reject, RetryLater, Skip, TimeLimitExceeded
from django_dlq.unreachable import is_outage

pytestmark = pytest.mark.once


def library_error(path, base=Exception, **attributes):
    """Make an error as a library would that is not installed."""
    module, _, name = path.rpartition(".")
    return type(name, (base,), {"__module__": module, **attributes})("no")


def http_error(status):
    return library_error("requests.exceptions.HTTPError", OSError, response=SimpleNamespace(status_code=status))


def raised_from(cause):
    error = RuntimeError("could not book")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        BrokenPipeError(),
        TimeoutError(),
        socket.gaierror(),
        OSError(errno.EHOSTUNREACH, "no route to host"),
        http.client.RemoteDisconnected(),
        urllib.error.URLError("no route"),
        urllib.error.HTTPError("https://a", 503, "", {}, None),
        library_error("requests.exceptions.ConnectionError", OSError),
        library_error("httpx.TransportError"),
        http_error(502),
        DependencyDown("they said so"),
        TimeLimitExceeded(),
        raised_from(ConnectionResetError()),
        raised_from(raised_from(DependencyDown())),
    ],
)
def test_what_says_that_something_is_down(error):
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        KeyError(),
        FileNotFoundError(errno.ENOENT, "no file"),
        PermissionError(errno.EACCES, "no"),
        urllib.error.HTTPError("https://a", 404, "", {}, None),
        http_error(400),
        http_error(500),
        RetryLater(),
        Reject(),
        Skip(),
        library_error("shop.ConnectionError"),
        raised_from(ValueError()),
    ],
)
def test_what_is_the_messages_own_fault(error):
    assert not is_outage(error)


def test_a_handler_that_decides_has_an_answer_whatever_it_came_from():
    error = RetryLater("they asked us to")
    error.__cause__ = ConnectionError()
    assert not is_outage(error)


def test_named_classes_take_the_place_of_the_usual_ones():
    assert is_outage(FileNotFoundError(), (OSError,))
    assert not is_outage(TimeLimitExceeded(), (OSError,))
    assert is_outage(DependencyDown(), (OSError,))


def test_causes_in_a_circle_come_to_an_end():
    error = ValueError()
    error.__cause__ = raised_from(error)
    assert not is_outage(error)
