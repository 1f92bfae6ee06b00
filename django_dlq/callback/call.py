"""Send a small question and read a small answer, within a time and a size that the other side cannot stretch.

No redirect is followed, no proxy of the environment is used, nothing is decompressed.
"""

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from django_dlq.callback.addresses import Place, Rules, Target, check_allowed, places_of, target_of
from django_dlq.exceptions import BadAnswer, CheckerUnreachable

MOST_BYTES: Final = 16_384
"""The most that an answer may take, its headers included."""

EXCERPT: Final = 500
NOBODY_THERE: Final = (429, 502, 503, 504)
"""What a gateway or an overloaded service says in the place of the one who was asked."""


@dataclass(slots=True)
class Allowance:
    """What is left of the time and of the bytes."""

    until: float
    bytes_left: int = MOST_BYTES

    @property
    def seconds(self) -> float:
        """The time that is left; raise TimeoutError where none is."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is up")
        return left

    def spend(self, count: int) -> None:
        """Count bytes that came; raise BadAnswer if they are too many."""
        self.bytes_left -= count
        if self.bytes_left < 0:
            raise BadAnswer(f"the answer is longer than {MOST_BYTES} bytes")


def post(url: str, body: bytes, headers: Mapping[str, str], *, rules: Rules, seconds: float) -> bytes:
    """Send a POST request and return the body of its answer, which nobody has looked at yet.

    seconds: for everything together, from looking up the name to the answer's last byte.
    Raises CheckerUnreachable if nobody was asked, and BadAnswer if the answer is not a 200, too long or late.
    """
    allowance = Allowance(until=time.monotonic() + seconds)
    target = target_of(url)
    check_allowed(target, rules)
    places = places_of(target, rules, seconds=seconds)
    with closing(_Connection(target, _connect(target, places, allowance))) as connection:
        try:
            connection.request("POST", target.path, body, {"Host": target.netloc, "Connection": "close", **headers})
            response = connection.getresponse()
            answer = response.read()
        except TimeoutError as error:
            raise BadAnswer(f"{target} did not answer within {seconds:g} seconds") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise BadAnswer(f"{target} gave no answer that can be read: {error!r}") from error
    return _body_of(target, response.status, answer)


def excerpt(answer: bytes) -> str:
    """Return the beginning of an answer as printable text, to be kept and shown beside an error."""
    text = answer[:EXCERPT].decode(errors="backslashreplace")
    return "".join(character if character.isprintable() else " " for character in text)


def _body_of(target: Target, status: int, answer: bytes) -> bytes:
    if status == http.client.OK:
        return answer
    said = f"{target} answered {status}: {excerpt(answer)}"
    if 300 <= status < 400:
        raise BadAnswer(f"{target} answered {status}, and redirects are not followed")
    raise CheckerUnreachable(said) if status in NOBODY_THERE else BadAnswer(said)


def _connect(target: Target, places: Any, allowance: Allowance) -> socket.socket:
    """Connect to the first address that lets us; raise CheckerUnreachable if none does."""
    failure: Exception | None = None
    for place in places:
        try:
            return _open(target, place, allowance)
        except (OSError, ValueError) as error:  # a ValueError is a host that cannot be in a certificate
            failure = error
    raise CheckerUnreachable(f"{target} cannot be reached: {failure}") from failure


def _open(target: Target, place: Place, allowance: Allowance) -> socket.socket:
    family, address = place
    plain = _Socket(family, socket.SOCK_STREAM)
    plain.allowance = allowance
    try:
        plain.settimeout(allowance.seconds)
        plain.connect(address)
        if target.scheme != "https":
            return plain
        plain.settimeout(allowance.seconds)
        secure = _TlsSocket.wrapping(plain, target.host)
    except BaseException:
        plain.close()
        raise
    secure.allowance = allowance
    return secure


class _Socket(socket.socket):
    """A socket that gives each wait only what is left of the time: a limit per wait could be stretched for ever."""

    allowance: Allowance

    def sendall(self, *args: Any) -> None:
        """Send."""
        self.settimeout(self.allowance.seconds)
        super().sendall(*args)

    def recv_into(self, *args: Any) -> int:
        """Receive."""
        self.settimeout(self.allowance.seconds)
        count = super().recv_into(*args)
        self.allowance.spend(count)
        return count


class _TlsSocket(ssl.SSLSocket):
    """The same with TLS, which proves that the machine at the address has the name that was looked up."""

    allowance: Allowance

    @classmethod
    def wrapping(cls, plain: socket.socket, host: str) -> "_TlsSocket":
        """Shake hands for this host."""
        secure: _TlsSocket = tls().wrap_socket(plain, server_hostname=host)  # type: ignore[assignment]
        return secure

    def send(self, *args: Any) -> int:
        """Send a part."""
        self.settimeout(self.allowance.seconds)
        return super().send(*args)

    def recv_into(self, *args: Any) -> int:
        """Receive."""
        self.settimeout(self.allowance.seconds)
        count = super().recv_into(*args) or 0
        self.allowance.spend(count)
        return count


@cache
def tls() -> ssl.SSLContext:
    """Return how certificates are checked: as the system does, which SSL_CERT_FILE can change."""
    context = ssl.create_default_context()
    context.sslsocket_class = _TlsSocket
    return context


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket that is connected already."""

    auto_open = 0

    def __init__(self, target: Target, connected: socket.socket) -> None:
        super().__init__(target.host, target.port)
        self.sock = connected
