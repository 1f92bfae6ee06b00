"""A way to a Kafka on which answers can get lost: the Kafka has stored a message, and its producer never learns it."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from django_dlq.testing.mock_kafka import PRODUCE

METADATA = 3
Change = Callable[[bytes], bytes | None]
_BEGIN = struct.Struct(">hhi")
"""What every request begins with: its API, that API's version, and the number that its answer repeats."""


class KafkaProxy:
    """Pass on what clients and one Kafka server say, but while `is_silent` no answer to a produce request."""

    def __init__(self, upstream: str) -> None:
        self.is_silent = False
        host, _, port = upstream.rpartition(":")
        self._upstream = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.bootstrap = f"127.0.0.1:{self._port}"

    @contextmanager
    def running(self) -> Iterator["KafkaProxy"]:
        """Take connections until the block ends."""
        accepting = threading.Thread(target=self._accept, daemon=True)
        accepting.start()
        try:
            yield self
        finally:
            for each in self._sockets:
                with suppress(OSError):  # the other side was faster
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            accepting.join()

    @property
    def _port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                self._sockets += [client, server]
                asked: dict[int, int] = {}
                for pass_on, source, target, change in (
                    (_pass_on, client, server, lambda frame, asked=asked: _note(frame, asked)),
                    (self._return, server, client, lambda frame, asked=asked: self._answer(frame, asked)),
                ):
                    threading.Thread(target=pass_on, args=[source, target, change], daemon=True).start()

    def _return(self, server: socket.socket, client: socket.socket, change: Change) -> None:
        _pass_on(server, client, change)

    def _answer(self, frame: bytes, asked: dict[int, int]) -> bytes | None:
        api = asked.pop(struct.unpack_from(">i", frame)[0])
        if api == PRODUCE and self.is_silent:
            return None
        if api == METADATA:
            # Clients connect to the address that a server gives as its own: so that has to be the proxy's.
            _, port = self._upstream
            return frame.replace(b"127.0.0.1" + struct.pack(">i", port), b"127.0.0.1" + struct.pack(">i", self._port))
        return frame


def frames_of(source: socket.socket, change: Change) -> Iterator[bytes]:
    """Return what one side says, each request or answer with its length before it, as it is to be passed on."""
    with source.makefile("rb") as frames:
        while header := frames.read(4):
            frame = change(frames.read(*struct.unpack(">i", header)))
            if frame is not None:
                yield struct.pack(">i", len(frame)) + frame


def _note(frame: bytes, asked: dict[int, int]) -> bytes:
    api, _, number = _BEGIN.unpack_from(frame)
    asked[number] = api
    return frame


def _pass_on(source: socket.socket, target: socket.socket, change: Change) -> None:
    with suppress(OSError):
        for frame in frames_of(source, change):
            target.sendall(frame)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
