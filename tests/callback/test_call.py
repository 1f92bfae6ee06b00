"""Nobody on the other side can make a call longer, larger, or lead it elsewhere."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_dlq.callback import call
from django_dlq.callback.addresses import Rules
from django_dlq.callback.call import MOST_BYTES, excerpt, post
from django_dlq.exceptions import BadAnswer, CheckerUnreachable
from tests.callback.answering import Answering, Say, answer, answering

pytestmark = pytest.mark.once

GOOD = answer(b'{"verdict": "commit"}')
SECONDS = 5.0


def ask(server: Answering, path: str = "/check?x=1", *, seconds: float = SECONDS, host: str = "127.0.0.1") -> bytes:
    rules = Rules(hosts=[f"{host}:{server.port}"], allow_http=True, allow_private=True)
    url = f"{'https' if server.tls else 'http'}://{host}:{server.port}{path}"
    return post(url, b'{"a":1}', {"DLQ-Timestamp": "7"}, rules=rules, seconds=seconds)


def test_the_question_arrives_with_its_headers_and_the_answer_comes_back() -> None:
    with answering(GOOD) as server:
        assert ask(server) == b'{"verdict": "commit"}'
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    first, *headers = head.decode().splitlines()
    assert (first, body) == ("POST /check?x=1 HTTP/1.1", b'{"a":1}')
    assert {f"Host: 127.0.0.1:{server.port}", "DLQ-Timestamp: 7", "Accept-Encoding: identity"} <= set(headers)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(status: str) -> None:
    with answering(GOOD) as elsewhere:
        location = f"Location: http://127.0.0.1:{elsewhere.port}/\r\n"
        moved = answer(b"", status=status, headers=location)
        with answering(moved) as server, pytest.raises(BadAnswer, match="redirects are not followed"):
            ask(server)
    assert elsewhere.asked == []


@pytest.mark.parametrize("status", ["204 No Content", "400 Bad", "401 Unauthorized", "404 Not Found", "500 Oops"])
def test_an_error_is_an_answer_of_no_use(status: str) -> None:
    with (
        answering(answer(b"<b>no</b>", status=status)) as server,
        pytest.raises(BadAnswer, match=f"answered {status[:3]}"),
    ):
        ask(server)


@pytest.mark.parametrize("status", ["429 Too Many", "502 Bad Gateway", "503 Unavailable", "504 Gateway Timeout"])
def test_a_gateway_that_says_that_nobody_is_there_is_not_whom_we_asked(status: str) -> None:
    with (
        answering(answer(b"", status=status)) as server,
        pytest.raises(CheckerUnreachable, match=f"answered {status[:3]}"),
    ):
        ask(server)


def test_nobody_at_the_port_is_not_reached() -> None:
    with answering(GOOD) as server:
        pass
    with pytest.raises(CheckerUnreachable, match="cannot be reached"):
        ask(server)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 101 + b"\r\n",
    ],
)
def test_what_is_not_http_is_an_answer_of_no_use(said: bytes) -> None:
    with answering(said) as server, pytest.raises(BadAnswer):
        ask(server)


def for_ever(part: bytes, begin: bytes = b"", pause: float = 0.0) -> Say:
    def say(client: socket.socket) -> None:
        client.sendall(begin)
        waiting = threading.Event()
        for _ in range(100_000):
            client.sendall(part)
            waiting.wait(pause)

    return say


@pytest.mark.parametrize(
    "say",
    [
        for_ever(b"x" * 1000, b"HTTP/1.1 200 OK\r\n\r\n"),
        for_ever(b"1\r\nx\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        for_ever(b"HTTP/1.1 100 Continue\r\n\r\n"),
        for_ever(b"A: " + b"b" * 1000 + b"\r\n", b"HTTP/1.1 200 OK\r\n"),
        for_ever(b"x" * 1000),
    ],
    ids=["body", "chunks", "continue", "headers", "first line"],
)
def test_an_answer_without_an_end_is_cut_off(say: Say) -> None:
    with (
        answering(say) as server,
        pytest.raises(BadAnswer, match=f"longer than {MOST_BYTES} bytes|no answer that can be read"),
    ):
        ask(server)


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"], ids=["head", "body"])
def test_an_answer_that_drips_is_not_waited_for(begin: bytes) -> None:
    with answering(for_ever(b"x", begin, pause=0.02)) as server:
        began = time.monotonic()
        with pytest.raises(BadAnswer, match=r"did not answer within 0\.3 seconds"):
            ask(server, seconds=0.3)
        assert time.monotonic() - began < 3


def test_nothing_begins_when_the_time_is_up() -> None:
    with pytest.raises(TimeoutError):
        assert call.Allowance(until=time.monotonic()).seconds


def test_silence_is_not_waited_for() -> None:
    quiet = threading.Event()
    with answering(lambda _client: (quiet.wait(5), None)[1]) as server:
        with pytest.raises(BadAnswer, match="did not answer within"):
            ask(server, seconds=0.1)
        quiet.set()


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(GOOD) as proxy, answering(GOOD) as server:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        ask(server)
    assert proxy.asked == []


def test_a_name_that_changes_its_address_afterwards_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real, looked_up = socket.getaddrinfo, []

    def rebinding(host: str, *args: Any, **kwargs: Any) -> Any:
        looked_up.append(host)
        return real("127.0.0.1" if len(looked_up) == 1 else "127.0.0.2", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with answering(GOOD) as server:
        assert ask(server, host="billing.example")
    assert looked_up == ["billing.example"]


def test_the_next_address_is_tried_if_the_first_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(_host: str, port: int, **_: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (2, 1)]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with answering(GOOD) as server:
        assert ask(server, host="billing.example")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=billing.example"
    command += " -addext subjectAltName=DNS:billing.example -keyout both.pem -out certificate.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    with (folder / "both.pem").open("a") as both:
        both.write((folder / "certificate.pem").read_text())
    return folder


@pytest.fixture
def served(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """Trust the certificate, and return what a server with it needs."""
    call.tls.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    monkeypatch.setattr(socket, "getaddrinfo", _everybody_is_here)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "both.pem")
    yield context
    call.tls.cache_clear()


def _everybody_is_here(_host: str, port: int, **_: Any) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def test_with_tls_the_machine_proves_the_name_that_was_looked_up(served: ssl.SSLContext) -> None:
    names: list[str | None] = []
    served.sni_callback = lambda _socket, name, _context: names.append(name)
    with answering(GOOD, tls=served) as server:
        assert ask(server, host="billing.example") == b'{"verdict": "commit"}'
    assert names == ["billing.example"]


def test_a_certificate_of_another_name_is_not_believed_and_nothing_is_sent(served: ssl.SSLContext) -> None:
    with answering(GOOD, tls=served) as server, pytest.raises(CheckerUnreachable, match="certificate"):
        ask(server, host="other.example")
    assert server.asked == []


def test_a_certificate_that_nobody_vouches_for_is_not_believed(
    served: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    call.tls.cache_clear()
    with answering(GOOD, tls=served) as server, pytest.raises(CheckerUnreachable, match="certificate"):
        ask(server, host="billing.example")
    assert server.asked == []


def test_with_tls_too_an_answer_is_bounded_in_time_and_size(served: ssl.SSLContext) -> None:
    with (
        answering(for_ever(b"x" * 1000, b"HTTP/1.1 200 OK\r\n\r\n"), tls=served) as server,
        pytest.raises(BadAnswer, match="longer than"),
    ):
        ask(server, host="billing.example")
    with (
        answering(for_ever(b"x", b"HTTP/1.1 200 OK\r\n\r\n", pause=0.02), tls=served) as server,
        pytest.raises(BadAnswer, match="did not answer within"),
    ):
        ask(server, host="billing.example", seconds=0.4)


def test_a_shake_of_hands_that_does_not_end_is_not_waited_for(served: ssl.SSLContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = Answering(lambda _: None, served, port=silent.getsockname()[1])
        with pytest.raises(CheckerUnreachable, match="cannot be reached"):
            ask(server, host="billing.example", seconds=0.2)


def test_of_an_answer_only_a_little_is_kept_as_printable_text() -> None:
    assert excerpt(b"<script>\x00\x1b[31m\xff\r\n" + b"x" * 9000).startswith("<script>  [31m\\xff  xxx")
    assert len(excerpt(b"x" * 9000)) == 500


def test_a_url_that_names_what_is_not_allowed_is_not_even_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("it was looked up"))
    with pytest.raises(CheckerUnreachable, match="DLQ_CHECKBACK_HOSTS"):
        post("https://billing.example/", b"", {}, rules=Rules(hosts=[]), seconds=1)


def test_the_path_of_a_url_is_in_no_error() -> None:
    with answering(answer(b"", status="500 Oops")) as server, pytest.raises(BadAnswer) as failed:
        ask(server, "/check?token=hunter2")
    assert "hunter2" not in str(failed.value)
