"""A server that says exactly what a test wants, byte by byte, and remembers what it was asked."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Say = Callable[[socket.socket], None]


def answer(body: bytes, *, status: str = "200 OK", headers: str = "") -> bytes:
    """Return a response in full."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


@dataclass
class Answering:
    """A server on loopback that speaks to one client after another."""

    say: Say
    tls: ssl.SSLContext | None = None
    asked: list[bytes] = field(default_factory=list)
    port: int = 0
    leaving: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        """Answer until the listener is closed."""
        while not self.leaving.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                try:
                    self._speak(client)
                except OSError:
                    continue  # the client has left, as it should

    def _speak(self, client: socket.socket) -> None:
        speaking = self.tls.wrap_socket(client, server_side=True) if self.tls else client
        with speaking:
            speaking.settimeout(5)
            self.asked.append(_request(speaking))
            self.say(speaking)


def _request(client: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length"))
    while len(body) < length:
        body += client.recv(65_536)
    return head + b"\r\n\r\n" + body


@contextmanager
def answering(say: Say | bytes, tls: ssl.SSLContext | None = None) -> Iterator[Answering]:
    """Run a server that says this to everybody."""
    server = Answering(say if callable(say) else lambda client: client.sendall(say), tls)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        thread = threading.Thread(target=server.serve, args=[listener])
        thread.start()
        try:
            yield server
        finally:
            server.leaving.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
