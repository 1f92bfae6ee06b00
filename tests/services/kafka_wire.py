"""The one Kafka request that needs no client: who is in this cluster?"""

import socket
import struct

METADATA = 3
VERSION = 1
CORRELATION = 7
CLIENT = b"dlq-services"
NO_TOPICS = 0


class NotKafkaError(OSError):
    """Whatever answered did not speak Kafka."""


def brokers(host: str, port: int, *, timeout: float = 5) -> list[tuple[int, str, int]]:
    """Return (node id, host, port) of every broker that the controller lets serve requests."""
    body = struct.pack(f">hhih{len(CLIENT)}si", METADATA, VERSION, CORRELATION, len(CLIENT), CLIENT, NO_TOPICS)
    with socket.create_connection((host, port), timeout=timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(struct.pack(">i", len(body)) + body)
        (length,) = struct.unpack(">i", _exactly(connection, 4))
        if not 8 <= length <= 1_000_000:
            raise NotKafkaError(f"{host}:{port} announces an answer of {length} bytes")
        return _parse(_exactly(connection, length))


def _parse(answer: bytes) -> list[tuple[int, str, int]]:
    """Read a Metadata v1 answer up to its list of brokers."""
    try:
        correlation, count = struct.unpack_from(">ii", answer)
        if correlation != CORRELATION:
            raise NotKafkaError(f"the answer is to request {correlation}")
        found, at = [], 8
        for _ in range(count):
            node, length = struct.unpack_from(">ih", answer, at)
            at += 6
            name = answer[at : at + length].decode()
            port, rack = struct.unpack_from(">ih", answer, at + length)
            at += length + 6 + max(rack, 0)
            found.append((node, name, port))
    except (struct.error, UnicodeDecodeError) as problem:
        raise NotKafkaError(f"the answer is cut or is no Metadata: {problem}") from problem
    return found


def _exactly(connection: socket.socket, size: int) -> bytes:
    """Receive this many bytes, however they are cut."""
    received = b""
    while len(received) < size:
        chunk = connection.recv(size - len(received))
        if not chunk:
            raise NotKafkaError("the connection was closed in the middle of an answer")
        received += chunk
    return received
