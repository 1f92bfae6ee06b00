"""Where a call may go: to hosts that the project has named, and only to addresses that everybody on the internet has.

Whoever registers a URL makes this server send a request to it (OWASP calls the attack server-side request forgery). So
the name is compared with a list, each address that it stands for is looked at, and the connection is made to such an
address, not to the name: a second look-up could have another answer (DNS rebinding).
"""

import ipaddress
import queue
import socket
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from django_dlq.exceptions import CheckerUnreachable

PORTS: Final = {"https": 443, "http": 80}
LONGEST_URL: Final = 500
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
"""Where a network without IPv4 shows the addresses of IPv4, private ones too (RFC 6052)."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Place = tuple[socket.AddressFamily, Any]
"""A family of addresses, and an address with its port as sockets take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a project allows. `hosts` are names as `host` or `host:port`, without a port the usual one of the scheme."""

    hosts: Collection[str]
    allow_http: bool = False
    allow_private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL in its parts."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        """Name it without its path, which may hold what is nobody's business."""
        return f"{self.scheme}://{self.netloc}"

    @property
    def netloc(self) -> str:
        """The host, with its port where that is not the usual one."""
        return self.bracketed if self.port == PORTS[self.scheme] else f"{self.bracketed}:{self.port}"

    @property
    def bracketed(self) -> str:
        """The host, as URLs write it."""
        return f"[{self.host}]" if ":" in self.host else self.host


def target_of(url: str) -> Target:
    """Take an http or https URL apart; raise CheckerUnreachable for any other text, and for one with a user name."""
    if len(url) > LONGEST_URL or not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        raise CheckerUnreachable(
            f"a URL has at most {LONGEST_URL} characters, all of them printable ASCII, and no backslash"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise CheckerUnreachable(f"the URL cannot be read: {error}") from error
    if parts.scheme not in PORTS or not host:
        raise CheckerUnreachable("the URL does not begin with https:// and a host")
    if "@" in parts.netloc or parts.fragment:
        raise CheckerUnreachable("the URL has a user name or a fragment, which would not be sent")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=host, port=port or PORTS[parts.scheme], path=path)


def check_allowed(target: Target, rules: Rules) -> None:
    """Raise CheckerUnreachable unless the project allows the target's scheme and names its host."""
    if target.scheme != "https" and not rules.allow_http:
        raise CheckerUnreachable(f"{target} is not https, and DLQ_CHECKBACK_ALLOW_HTTP is not set")
    named = {host.lower() for host in rules.hosts}
    if named.isdisjoint({target.netloc, f"{target.bracketed}:{target.port}"}):
        raise CheckerUnreachable(f"{target} is not one of DLQ_CHECKBACK_HOSTS")


def places_of(target: Target, rules: Rules, *, seconds: float) -> Sequence[Place]:
    """Return where to connect to; raise CheckerUnreachable if one of the name's addresses is not allowed."""
    found = _look_up(target, seconds)
    for _family, address in found:
        if not is_allowed(ipaddress.ip_address(address[0].partition("%")[0]), private=rules.allow_private):
            raise CheckerUnreachable(f"{target} is at {address[0]}, which is not a public address")
    return found


def is_allowed(address: IpAddress, *, private: bool) -> bool:
    """Tell whether an address is one that everybody on the internet has, or at least one that may be allowed.

    Never allowed are link-local addresses, where clouds answer questions about a machine's own credentials, and those
    that stand for no single machine.
    """
    address = _inner(address)
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    if private and (address.is_private or address.is_loopback):
        return True
    return address.is_global and not address.is_reserved


def _inner(address: IpAddress) -> IpAddress:
    """Return the IPv4 address that an IPv6 one carries inside, for it is where the packets arrive."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _look_up(target: Target, seconds: float) -> Sequence[Place]:
    # The system's resolver has no time limit that one could give it, so it is left behind in its thread.
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_resolve, args=[target, answers], name="dlq-resolver", daemon=True).start()
    try:
        found = answers.get(timeout=max(seconds, 0.001))
    except queue.Empty:
        raise CheckerUnreachable(f"{target}: its name was not resolved in time") from None
    if isinstance(found, Exception):
        raise CheckerUnreachable(f"{target}: its name cannot be resolved: {found}") from found
    return [(family, address) for family, _kind, _protocol, _name, address in found]


def _resolve(target: Target, answers: "queue.SimpleQueue[Any]") -> None:
    try:
        answers.put(socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        answers.put(error)
