"""Prove to another service that a request is ours, and fresh: HMAC-SHA256 over the time and the body.

    DLQ-Timestamp: 1796034600                    seconds since 1970
    DLQ-Signature: v1=5257a869e7…,v1=9b2c11…     one for each valid secret, in lower-case hexadecimal

What is signed is the timestamp, a full stop, and the body's bytes. The scheme is that of Stripe's webhooks and of
Standard Webhooks: with two secrets valid for a while, one can be replaced without a moment in which nothing fits.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

TIMESTAMP: Final = "DLQ-Timestamp"
SIGNATURE: Final = "DLQ-Signature"
VERSION: Final = "v1"

TOLERANCE: Final = 300
"""How many seconds a request may be old, or ahead: how far clocks may differ, and how long a copy of it is good."""


class Secret:
    """A text that two services share, and that no log, traceback or page shows by accident."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("a secret is not empty: everybody could sign with it")
        self._value = value.encode()

    @classmethod
    def fresh(cls) -> "Secret":
        """Make one of 256 bits."""
        return cls(f"dlqsec_{secrets.token_urlsafe(32)}")

    def __repr__(self) -> str:
        return "Secret(…)"

    def reveal(self) -> str:
        """Return the text itself, to store it, or to show it once."""
        return self._value.decode()

    def sign(self, body: bytes, *, at: int) -> str:
        """Return the signature of a body at a time in seconds since 1970."""
        return hmac.new(self._value, f"{at}.".encode() + body, hashlib.sha256).hexdigest()


def signed_headers(body: bytes, *, at: int, by: Iterable[Secret]) -> dict[str, str]:
    """Return the headers that prove that a body was sent at this time by who knows the secrets."""
    signatures = ",".join(f"{VERSION}={secret.sign(body, at=at)}" for secret in by)
    return {TIMESTAMP: str(at), SIGNATURE: signatures}


def is_signed(headers: Mapping[str, str], body: bytes, *, by: Secret, now: float) -> bool:
    """Tell whether a request was signed with this secret, at most TOLERANCE seconds ago; for those who receive one.

    Not promised: that it is the first time that this request comes. Whoever minds remembers what the body names.
    """
    at = headers.get(TIMESTAMP, "")
    if not (at.isascii() and at.isdigit() and len(at) <= 12) or abs(now - int(at)) > TOLERANCE:
        return False
    wanted = by.sign(body, at=int(at)).encode()
    given = (item.strip().partition("=") for item in headers.get(SIGNATURE, "").split(","))
    return any(
        hmac.compare_digest(signature.encode(errors="replace"), wanted)
        for version, _, signature in given
        if version == VERSION
    )
