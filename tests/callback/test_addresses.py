"""A registered URL leads nowhere but to where the project allows."""

import ipaddress
import socket
import threading
import time
from typing import Any

import pytest

from django_dlq.callback.addresses import Rules, Target, check_allowed, is_allowed, places_of, target_of
from django_dlq.exceptions import CheckerUnreachable

pytestmark = pytest.mark.once

OPEN = Rules(hosts=["billing.example"])
PUBLIC, PUBLIC6 = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://billing.example", "billing.example", 443, "/"),
        ("https://Billing.Example:8443/check?a=b", "billing.example", 8443, "/check?a=b"),
        ("http://127.0.0.1/x", "127.0.0.1", 80, "/x"),
        ("https://[::1]:9/", "::1", 9, "/"),
    ],
)
def test_a_url_is_taken_apart(url: str, host: str, port: int, path: str) -> None:
    target = target_of(url)
    assert (target.host, target.port, target.path) == (host, port, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "billing.example/check",
        "//billing.example/",
        "ftp://billing.example/",
        "file:///etc/passwd",
        "https://",
        "https:///check",
        "https://user:pass@billing.example/",
        "https://billing.example@evil.example/",
        "https://billing.example/#fragment",
        "https://billing.example/a b",
        "https://billing.example/\r\nHost: evil.example",
        "https://billing.example\\@evil.example/",
        "https://bílling.example/",
        "https://billing.example:port/",
        "https://billing.example:99999/",
        "https://[::1/",
        "https://billing.example/" + "x" * 500,
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(CheckerUnreachable):
        target_of(url)


@pytest.mark.parametrize(
    ("hosts", "url", "allowed"),
    [
        (["billing.example"], "https://billing.example/x", True),
        (["Billing.Example"], "https://billing.EXAMPLE/x", True),
        (["billing.example:443"], "https://billing.example/", True),
        (["billing.example:8443"], "https://billing.example:8443/", True),
        (["[::1]:8443"], "https://[::1]:8443/", True),
        (["billing.example"], "https://billing.example:8443/", False),
        (["billing.example:8443"], "https://billing.example/", False),
        (["billing.example"], "https://api.billing.example/", False),
        (["billing.example"], "https://billing.example.evil.example/", False),
        (["billing.example"], "https://billing.example./", False),
        (["*"], "https://billing.example/", False),
        ([], "https://billing.example/", False),
    ],
)
def test_only_hosts_that_are_named_are_called(hosts: list[str], url: str, allowed: bool) -> None:
    rules = Rules(hosts=hosts)
    if allowed:
        check_allowed(target_of(url), rules)
    else:
        with pytest.raises(CheckerUnreachable, match="DLQ_CHECKBACK_HOSTS"):
            check_allowed(target_of(url), rules)


def test_http_must_be_allowed() -> None:
    target = target_of("http://billing.example/")
    with pytest.raises(CheckerUnreachable, match="DLQ_CHECKBACK_ALLOW_HTTP"):
        check_allowed(target, OPEN)
    check_allowed(target, Rules(hosts=["billing.example"], allow_http=True))


PRIVATE = ["127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.5.4", "192.168.1.1", "::1", "fd00::1", "fd00:ec2::254"]
PRIVATE += ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "100::1"]
NEVER = ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"]
NEVER += ["0.0.0.0", "::", "224.0.0.1", "239.1.1.1", "ff02::1", "::ffff:0.0.0.0", "100.64.0.1"]


@pytest.mark.parametrize("text", [*PRIVATE, *NEVER])
def test_an_address_that_is_not_public_is_not_called(text: str) -> None:
    assert not is_allowed(ipaddress.ip_address(text), private=False)


@pytest.mark.parametrize("text", PRIVATE)
def test_a_private_address_can_be_allowed(text: str) -> None:
    assert is_allowed(ipaddress.ip_address(text), private=True)


@pytest.mark.parametrize("text", NEVER)
def test_where_clouds_keep_credentials_is_never_called(text: str) -> None:
    assert not is_allowed(ipaddress.ip_address(text), private=True)


@pytest.mark.parametrize("text", [PUBLIC, PUBLIC6, "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_a_public_address_is_called(text: str) -> None:
    assert is_allowed(ipaddress.ip_address(text), private=False)


def resolves_to(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    def found(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))
            for text in texts
        ]

    monkeypatch.setattr(socket, "getaddrinfo", found)


TARGET = Target(scheme="https", host="billing.example", port=443, path="/")


def test_one_private_address_among_public_ones_is_enough_to_refuse_all(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, PUBLIC, PUBLIC6, "10.0.0.1")
    with pytest.raises(CheckerUnreachable, match=r"10\.0\.0\.1, which is not a public address"):
        places_of(TARGET, OPEN, seconds=5)


def test_the_addresses_that_were_looked_at_are_those_to_connect_to(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, PUBLIC, PUBLIC6)
    places = places_of(TARGET, OPEN, seconds=5)
    assert places == [(socket.AF_INET, (PUBLIC, 443)), (socket.AF_INET6, (PUBLIC6, 443))]


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost"])
def test_loopback_by_another_name_is_loopback(host: str) -> None:
    with pytest.raises(CheckerUnreachable, match=r"not a public address|cannot be resolved"):
        places_of(Target(scheme="https", host=host, port=443, path="/"), OPEN, seconds=5)


def test_a_scope_does_not_hide_a_link_local_address(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "fe80::1%eth0")
    with pytest.raises(CheckerUnreachable, match="not a public address"):
        places_of(TARGET, OPEN, seconds=5)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_that_nobody_knows_is_not_reached(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(CheckerUnreachable, match="cannot be resolved"):
        places_of(TARGET, OPEN, seconds=5)


def test_a_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (released.wait(30), [])[1])
    began = time.monotonic()
    with pytest.raises(CheckerUnreachable, match="not resolved in time"):
        places_of(TARGET, OPEN, seconds=0.05)
    assert time.monotonic() - began < 5
    released.set()
