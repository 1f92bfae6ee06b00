"""A circuit as a machine remembers it from one look to the next."""

from dataclasses import dataclass
from typing import Final

from django_dlq.models import Circuit, Dependency


@dataclass(frozen=True, slots=True)
class Seen:
    """A circuit as it was when it was last looked at."""

    state: str
    failures: int = 0
    trials: int = 0
    is_due: bool = False
    is_by_hand: bool = False
    to_replay: bool = False

    @classmethod
    def of(cls, row: Dependency) -> "Seen":
        """Take down a row."""
        is_due = bool(getattr(row, "is_due", False))
        return cls(row.state, row.failures, row.trials, is_due, row.is_by_hand, row.replay_until is not None)


CLOSED: Final = Seen(Circuit.CLOSED)
