"""What became of a batch, sorted by what has to be done about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from django_dlq.brokers.base import Receipt
from django_dlq.exceptions import BrokerError, BrokerUnavailable, HeldBack, RejectedTogether, TopicUnavailable
from django_dlq.models.outgoing import Outgoing


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The rows of a batch of which not all were confirmed.

    confirmed: with their receipts, in the same order. refused: never to be sent, each with the error. unavailable: what
    the broker did not take. left: those, and what was held back or could not be told from others: all to be sent again.
    reason: the first error of an unavailable one. is_there: whether the broker has answered at all.
    """

    confirmed: tuple[list[Outgoing], list[Receipt]]
    refused: list[tuple[Outgoing, BrokerError]]
    unavailable: list[Outgoing]
    left: list[Outgoing]
    reason: BrokerError | None
    is_there: bool
    is_unclear: bool

    @classmethod
    def of(cls, rows: Sequence[Outgoing], receipts: Sequence[Receipt]) -> Self:
        """Sort what became of these rows."""
        both = list(zip(rows, receipts, strict=True))
        confirmed = [(row, receipt) for row, receipt in both if receipt.error is None]
        failed = [(row, receipt.error) for row, receipt in both if receipt.error is not None]
        unavailable = [(row, error) for row, error in failed if isinstance(error, BrokerUnavailable)]
        is_unclear = any(isinstance(error, RejectedTogether) for _, error in failed)
        return cls(
            confirmed=([row for row, _ in confirmed], [receipt for _, receipt in confirmed]),
            refused=[(row, error) for row, error in failed if not isinstance(error, _TO_BE_SENT)],
            unavailable=[row for row, _ in unavailable],
            left=[row for row, error in failed if isinstance(error, _TO_BE_SENT)],
            reason=unavailable[0][1] if unavailable else None,
            is_there=is_unclear or bool(confirmed) or any(isinstance(error, TopicUnavailable) for _, error in failed),
            is_unclear=is_unclear,
        )


_TO_BE_SENT = (BrokerUnavailable, HeldBack, RejectedTogether)
