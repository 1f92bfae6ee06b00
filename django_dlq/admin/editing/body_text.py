"""A body in a text area, and back.

A browser sends every line end as CRLF, whatever it was shown, and no text area holds bytes that are not text. So each
body has the one form in which it comes back exactly if nobody changes it, or it is shown as base64.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from django.utils.translation import gettext as _

from django_dlq.payload import describe

Form = Literal["text", "crlf", "compact", "spaced", "base64"]

LAYOUTS: Final[dict[Form, tuple[str, str]]] = {"compact": (",", ":"), "spaced": (", ", ": ")}
"""The two usual ways to write JSON on one line: what stands for a comma and a colon."""

UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u0080-\u009f\ufdd0-\ufdef\ufffe\uffff]")
"""Characters that HTML does not carry, or that nobody could see in a text area."""

TOKENS = re.compile(r'("(?:[^"\\]|\\.)*")|(,)|(:)|\s+')


class NotJson(ValueError):
    """A text that is not JSON, with the place where it stops being so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyText:
    """A body as it is edited: `form` says how, `text` is what the text area shows."""

    form: Form
    text: str

    @classmethod
    def of(cls, body: bytes) -> "BodyText":
        """Choose the form in which a body comes back exactly."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            return cls(form="base64", text=_base64(body))
        pretty = describe(body, masked=False).pretty
        if pretty is not None:
            for form in LAYOUTS:
                if _on_one_line(pretty, form) == text:
                    return cls(form=form, text=pretty)
        bare = text.replace("\r\n", "\n")
        if UNFIT.search(text) or "\r" in bare or ("\r\n" in text and bare.count("\n") != text.count("\r\n")):
            return cls(form="base64", text=_base64(body))
        return cls(form="crlf" if "\r\n" in text else "text", text=bare)

    def bytes_of(self, typed: str) -> bytes:
        """Return the bytes that a typed text stands for; raise ValueError, with a reason, if it stands for none."""
        text = typed.replace("\r\n", "\n").replace("\r", "\n")
        if self.form == "base64":
            try:
                return base64.b64decode("".join(text.split()), validate=True)
            except binascii.Error as error:
                raise ValueError(_("This is not base64: %(error)s.") % {"error": error}) from error
        if self.form in LAYOUTS and why_not_json(text) is None:
            text = _on_one_line(text, self.form)
        return (text.replace("\n", "\r\n") if self.form == "crlf" else text).encode()


def why_not_json(text: str) -> NotJson | None:
    """Return what keeps a text from being JSON (RFC 8259), or None."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        place = {"problem": error.msg, "line": error.lineno, "column": error.colno}
        return NotJson(_("%(problem)s at line %(line)d, column %(column)d") % place)
    except RecursionError:
        return NotJson(_("it is nested too deeply"))
    except NotJson as error:
        return error
    return None


def _on_one_line(text: str, form: Form) -> str:
    comma, colon = LAYOUTS[form]

    def write(match: re.Match[str]) -> str:
        string, is_comma, is_colon = match.groups()
        return string or (comma if is_comma else colon if is_colon else "")

    return TOKENS.sub(write, text)


def _base64(body: bytes) -> str:
    return base64.encodebytes(body).decode().rstrip("\n")


def _refuse(name: str) -> Any:
    raise NotJson(_("%(name)s is not a JSON value") % {"name": name})
