"""Headers as JSON: a list of pairs in their order, which people can read and search, and exact."""

import base64
from typing import Any

from django_dlq.message import Headers, exact, readable


def pack(headers: Headers) -> list[list[str | None]]:
    """Return headers as a JSON column holds them.

    [name, text], [name, null] for an absent value, or [name, text, base64] where text cannot hold the bytes; then a
    fourth item is the name's own base64, where text cannot hold that either.
    """
    return [_pack(name, data) for name, data in headers]


def unpack(items: Any) -> Headers:
    """Return the headers that `pack` was given; raise ValueError or TypeError for anything that is not its work."""
    return tuple(_unpack(*item) for item in items)


def _pack(name: str, data: bytes | None) -> list[str | None]:
    travelled = name.encode(errors="surrogatepass")
    packed = [readable(travelled), None if data is None else readable(data), _base64(exact(data))]
    if exact(travelled) is not None:
        return [*packed, _base64(travelled)]
    return packed if packed[2] else packed[:2]


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _unpack(
    name: str, text: str | None, encoded: str | None = None, encoded_name: str | None = None
) -> tuple[str, bytes | None]:
    if not isinstance(name, str) or not isinstance(text, str | None):
        raise TypeError(f"not a header's name and value: {name!r}, {text!r}")
    if encoded_name is not None:
        name = base64.b64decode(encoded_name, validate=True).decode(errors="surrogatepass")
    if encoded is not None:
        return name, base64.b64decode(encoded, validate=True)
    return name, None if text is None else text.encode()
