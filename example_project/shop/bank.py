"""The bank, which belongs to somebody else: it takes money, and knows nothing of our database.

Its ledger is a file with a line for each payment, "charged" or "cancelled". The first line about a payment counts, so
one that was cancelled is never charged, and one that was charged is charged once however often it is asked for.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Final
from uuid import UUID

from django.conf import settings

CHARGED: Final = "charged"
CANCELLED: Final = "cancelled"


class Cancelled(Exception):
    """The payment was called off before."""


def charge(payment: UUID, amount: Decimal) -> None:
    """Take the money; raise Cancelled for a payment that was called off."""
    with _ledger() as ledger:
        if _write_first(ledger, payment, f"{CHARGED} {amount}") == CANCELLED:
            raise Cancelled(f"the payment {payment} was cancelled")


def cancel(payment: UUID) -> bool:
    """Call a payment off; return False if it was charged, and so cannot be called off any more."""
    with _ledger() as ledger:
        return _write_first(ledger, payment, CANCELLED) == CANCELLED


def charged() -> list[str]:
    """Return every payment that was charged."""
    with _ledger() as ledger:
        return [payment for payment, what, *_ in map(str.split, ledger) if what == CHARGED]


@contextmanager
def _ledger() -> Iterator[IO[str]]:
    """Open the ledger for nobody else at the same time."""
    with Path(settings.BANK_LEDGER).open("a+") as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)
        ledger.seek(0)
        yield ledger


def _write_first(ledger: IO[str], payment: UUID, line: str) -> str:
    """Add a line unless there is one about this payment, and return what the first one says."""
    for known, what, *_ in map(str.split, ledger):
        if known == str(payment):
            return what
    ledger.write(f"{payment} {line}\n")
    return line.split(maxsplit=1)[0]
