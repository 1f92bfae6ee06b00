"""What a person may do about dead letters: the words, the permissions, and doing it to many."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq import deadletters
from django_dlq.exceptions import DeskError, HalfMessageError
from django_dlq.models import TRANSITIONS, DeadLetter, State

logger = logging.getLogger(__name__)

MOST_LETTERS: Final = 1_000
"""Letters of one act: they are done inside one request, each in a transaction of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One act: what it is called, what it does in plain words, and what it takes."""

    name: str
    label: Any
    question: Any
    effect: Any
    done: Any
    permissions: tuple[str, ...]
    needs_reason: bool = False

    def missing(self, user: Any) -> list[str]:
        """Return the permissions that a person would need and does not have."""
        wanted = [f"{DeadLetter._meta.app_label}.{name}_deadletter" for name in self.permissions]
        return [name for name in wanted if not user.has_perm(name)]

    def why_not(self, user: Any, letter: DeadLetter | None = None) -> str:
        """Return why a person cannot do this (to this letter), or nothing if it is possible."""
        missing = self.missing(user)
        if missing:
            return _("you need the permission %(names)s") % {"names": ", ".join(missing)}
        if letter is not None and not letter.allows(self.name):
            return _("only for letters that are %(states)s; this one is %(state)s") % {
                "states": _either(TRANSITIONS[self.name][0]),
                "state": State(letter.state).label,
            }
        return ""


REPLAY: Final = Verb(
    name="replay",
    label=gettext_lazy("Replay"),
    question=gettext_lazy("Replay?"),
    effect=gettext_lazy(
        "The message is sent again as it was, with the same ids: to the group that failed, or to its topic if it could "
        "not be sent. What becomes of it comes back to the letter: resolved, or dead again."
    ),
    done=gettext_lazy("replayed"),
    permissions=("replay",),
)
EDIT: Final = Verb(
    name="edit",
    label=gettext_lazy("Edit and replay"),
    question=gettext_lazy("Edit and replay?"),
    effect=gettext_lazy(
        "A corrected copy is sent, with a new message id and the same message key. The copy is a letter of its own, "
        "which tells what becomes of it. This letter stays as it is, and counts as resolved."
    ),
    done=gettext_lazy("edited and replayed"),
    # Nobody can correct what they may not see.
    permissions=("edit", "unmask"),
    needs_reason=True,
)
DISCARD: Final = Verb(
    name="discard",
    label=gettext_lazy("Discard"),
    question=gettext_lazy("Discard?"),
    effect=gettext_lazy(
        "Nothing is sent. The letter is settled and needs nobody any more. It can be read, and restored, until "
        "retention deletes it. Messages that wait behind it go on."
    ),
    done=gettext_lazy("discarded"),
    permissions=("discard",),
    needs_reason=True,
)
RESTORE: Final = Verb(
    name="restore",
    label=gettext_lazy("Restore"),
    question=gettext_lazy("Restore?"),
    effect=gettext_lazy(
        "The letter is dead again, and needs somebody. Nothing is sent. Of a letter that is replaying, this gives up "
        "waiting for the outcome, which may still come."
    ),
    done=gettext_lazy("restored"),
    permissions=("restore",),
)
VERBS: Final = (REPLAY, EDIT, DISCARD, RESTORE)
BULK: Final = {verb.name: verb for verb in (REPLAY, DISCARD, RESTORE)}
"""Those that can be done to many letters at once."""

ACTS: Final[dict[str, Callable[..., object]]] = {
    "replay": deadletters.replay,
    "discard": deadletters.discard,
    "restore": deadletters.restore,
}


@dataclass(slots=True)
class Outcome:
    """What became of the rows of one act. What is not counted as done was not done."""

    done: int = 0
    skipped: list[str] = field(default_factory=list)
    not_tried: int = 0


def carry_out(verb: Verb, ids: Sequence[int], *, user: Any, reason: str) -> Outcome:
    """Do one verb to these letters; see each_alone."""

    def act(pk: int) -> None:
        ACTS[verb.name](DeadLetter.objects.get(pk=pk), actor=user, reason=reason)

    return each_alone(act, ids, verb=verb.name, kind=DeadLetter._meta.verbose_name)


def each_alone(act: Callable[[int], object], ids: Sequence[int], *, verb: str, kind: Any) -> Outcome:
    """Do something to rows of one kind, one after another, each in its own transaction.

    A row whose state has changed since somebody looked is skipped. If the database fails, the rest is not tried.
    """
    outcome = Outcome()
    for place, pk in enumerate(ids):
        try:
            act(pk)
        except ObjectDoesNotExist:
            outcome.skipped.append(_("%(kind)s %(id)s is gone") % {"kind": kind, "id": pk})
        except (DeskError, HalfMessageError) as error:
            outcome.skipped.append(str(error))
        except DatabaseError:
            logger.exception("%s of %s %s failed", verb, kind, pk)
            outcome.not_tried = len(ids) - place
            break
        else:
            outcome.done += 1
    return outcome


def _either(states: Iterable[State]) -> str:
    return _(" or ").join(str(state.label) for state in State if state in states)
