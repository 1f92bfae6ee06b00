"""What a body and headers become on the wire, and what of them cannot travel."""

from collections.abc import Iterable, Mapping

from django.core.serializers.json import DjangoJSONEncoder

from django_dlq.exceptions import BodyNotSerializable, InvalidMessage
from django_dlq.message import RESERVED, Headers, is_text


def encode_body(body: object) -> bytes:
    """Return the bytes that will travel: dict and list as JSON, str as UTF-8, bytes as they are.

    Dates, decimals and UUIDs inside JSON become strings, as Django's own JSON encoder writes them. NaN and Infinity are
    refused, since JSON has no word for them (RFC 8259, section 6).
    """
    if isinstance(body, bytes):
        return body
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    if isinstance(body, str):
        return _utf8(body, what="the body")
    if isinstance(body, (dict, list, tuple)):
        return _json_bytes(body)
    raise BodyNotSerializable(
        f"a body is a dict, a list, text or bytes, not {type(body).__name__}; turn it into one of these first"
    )


def encode_headers(headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes | None]]) -> Headers:
    """Return headers as they will travel; raise InvalidMessage for names that are reserved or values of other types."""
    if headers == ():
        return ()
    pairs: object = headers.items() if isinstance(headers, Mapping) else headers
    if not isinstance(pairs, Iterable):
        raise InvalidMessage(f"headers are a mapping or pairs, not {pairs!r}")
    return tuple(_header(pair) for pair in pairs)


def _header(pair: object) -> tuple[str, bytes | None]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise InvalidMessage(f"headers are a mapping or pairs, and this is not a pair: {pair!r}")
    name, value = pair
    if not name or not is_text(name):
        raise InvalidMessage(f"a header's name is non-empty text, not {name!r}")
    if name in RESERVED:  # by the letter, as Kafka compares names: a foreign "ID" is not ours
        raise InvalidMessage(f"the header {name!r} is set by django_dlq itself; choose another name")
    if value is None or isinstance(value, bytes):
        return name, value
    if isinstance(value, str):
        return name, _utf8(value, what=f"the header {name!r}")
    raise InvalidMessage(f"the header {name!r} has a {type(value).__name__} as its value; give it text or bytes")


# Without a look for circles, which costs a tenth: what goes round in one is too deep.
_encoder = DjangoJSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


def _json_bytes(body: object) -> bytes:
    try:
        text = _encoder.encode(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise BodyNotSerializable(f"the body cannot be written as JSON: {error}") from error
    return _utf8(text, what="the body")


def _utf8(text: str, *, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BodyNotSerializable(f"{what} has characters that UTF-8 cannot express: {error}") from error
