"""A way to a server that can fall silent, as where a network drops everything: nobody is told, and nothing is heard."""

import ctypes
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
_DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
"""A program for the kernel's packet filter: of each packet, let nothing pass (`BPF_RET | BPF_K`, 0)."""


class SilentProxy:
    """Pass on what clients and one server say, until it falls silent.

    Then the kernel drops whatever clients send before it looks at it, so that they get no acknowledgement either; and
    nobody is told that this is so. What is tried anew after the end of the silence goes well, what was there before is
    silent for good, as after a failover.
    """

    def __init__(self, host: str, port: int | str) -> None:
        self._upstream = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []
        self._servers: list[socket.socket] = []
        self._silent: set[socket.socket] = set()
        self.port: int = self._listener.getsockname()[1]

    @property
    def connections(self) -> int:
        """How many there were."""
        return len(self._servers)

    @contextmanager
    def running(self) -> Iterator["SilentProxy"]:
        """Take connections until the block ends."""
        accepting = threading.Thread(target=self._accept, daemon=True)
        accepting.start()
        try:
            yield self
        finally:
            for each in [self._listener, *self._clients, *self._servers]:
                with suppress(OSError):  # the other side was faster
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            accepting.join()

    def fall_silent(self) -> None:
        """Drop everything from now on, new connections too."""
        for each in [self._listener, *self._clients]:
            self._silent.add(each)
            each.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(_DROP_ALL)))

    def speak_again(self) -> None:
        """Take connections again."""
        self._listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                self._clients.append(client)
                self._servers.append(server)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=[source, target], daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if target in self._silent:
                    return
                target.sendall(data)
        if target not in self._silent:
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)
