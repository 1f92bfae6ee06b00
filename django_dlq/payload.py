"""Show a message to a person: readable, exact, and with secrets and personal data masked."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django_dlq.conf import conf
from django_dlq.message import Headers, no_constant, readable

MASK = "•••"
Kind = Literal["json", "text", "binary", "empty", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A body as text: `pretty` is indented JSON, or None; `raw` is what travelled, or None if it may not be seen.

    Numbers keep every digit and repeated names stay, which JavaScript and json.loads would lose. Masked JSON has the
    mask in both; a masked body of another kind is hidden, since nothing tells which part of it is secret.
    """

    kind: Kind
    size: int
    masked: bool
    pretty: str | None
    raw: str | None


class _Number(str):
    """A JSON number, digit for digit."""

    __slots__ = ()


class _Object(list[tuple[str, Any]]):
    """A JSON object with its names in order, repeated ones too."""


def describe(body: bytes | None, *, masked: bool) -> Payload:
    """Return a body as a person may see it."""
    kind: Kind
    size = len(body or b"")
    if not body:
        kind = "absent" if body is None else "empty"
        return Payload(kind=kind, size=size, masked=False, pretty=None, raw="")
    try:
        return _describe_json(body, masked=masked)
    except UnicodeDecodeError:
        kind = "binary"
    except (ValueError, RecursionError):  # not JSON, or nested deeper than Python can follow
        kind = "text"
    return Payload(kind=kind, size=size, masked=masked, pretty=None, raw=None if masked else readable(body))


def _describe_json(body: bytes, *, masked: bool) -> Payload:
    value = json.loads(
        body.decode(),
        object_pairs_hook=_Object,
        parse_float=_Number,
        parse_int=_Number,
        parse_constant=no_constant,
    )
    shown = _masked(value) if masked else value
    raw = _dump(shown) if shown != value else readable(body)
    return Payload(kind="json", size=len(body), masked=shown != value, pretty=_dump(shown, indent="\n"), raw=raw)


def describe_headers(headers: Headers, *, masked: bool) -> list[tuple[str, str | None]]:
    """Return headers as text pairs, in order; None where the value is absent."""
    return [
        (name, None if value is None else MASK if masked and is_secret(name) else readable(value))
        for name, value in headers
    ]


def is_secret(name: str) -> bool:
    """Tell whether a field or header of this name is masked: DLQ_MASKED_FIELDS, by part; case, `-` and `_` ignored."""
    plain = _plain(name)
    return any(_plain(part) in plain for part in conf.DLQ_MASKED_FIELDS)


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _masked(value: Any) -> Any:
    if isinstance(value, _Object):
        return _Object((name, MASK if is_secret(name) else _masked(item)) for name, item in value)
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return value


def _dump(value: Any, indent: str = "") -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, _Object):
        return _bracket("{}", (f"{_quote(name)}: {_dump(item, _deeper(indent))}" for name, item in value), indent)
    if isinstance(value, list):
        return _bracket("[]", (_dump(item, _deeper(indent)) for item in value), indent)
    return _quote(value)


def _bracket(pair: str, items: Iterable[str], indent: str) -> str:
    listed = list(items)
    if not listed:
        return pair
    inner = _deeper(indent)
    return pair[0] + inner + f",{inner or ' '}".join(listed) + indent + pair[1]


def _deeper(indent: str) -> str:
    return f"{indent}  " if indent else ""


def _quote(value: Any) -> str:
    # Half of a surrogate pair, which JSON can escape but UTF-8 cannot express, stays escaped.
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace").decode()
