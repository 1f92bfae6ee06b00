"""The words for the life of a half message."""

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _


class HalfState(models.TextChoices):
    """Where a half message is in its life."""

    PREPARED = "prepared", _("prepared")
    UNDECIDED = "undecided", _("undecided")
    COMMITTED = "committed", _("committed")
    ROLLED_BACK = "rolled_back", _("rolled back")


class DecidedBy(models.TextChoices):
    """Who has said what shall become of it."""

    PROCESS = "process", _("the process")
    CHECK = "check", _("a check")
    PERSON = "person", _("a person")
    PRODUCER = "producer", _("a remote producer")


DECIDED: Final = frozenset({HalfState.COMMITTED, HalfState.ROLLED_BACK})

HALF_TRANSITIONS: Final[dict[str, tuple[frozenset[HalfState], HalfState]]] = {
    # verb: (from any of these states, to this one); docs/explanation/half-messages.md draws it and a test compares
    "commit": (frozenset({HalfState.PREPARED, HalfState.UNDECIDED}), HalfState.COMMITTED),
    "rollback": (frozenset({HalfState.PREPARED, HalfState.UNDECIDED}), HalfState.ROLLED_BACK),
    "wait": (frozenset({HalfState.PREPARED}), HalfState.PREPARED),
    "give_up": (frozenset({HalfState.PREPARED}), HalfState.UNDECIDED),
    "ask_again": (frozenset({HalfState.UNDECIDED}), HalfState.PREPARED),
}
