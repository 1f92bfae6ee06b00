"""What a person may do about half messages: the words, the permissions, and doing it to many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq import decisions
from django_dlq.admin.verbs import Outcome, each_alone
from django_dlq.models import HALF_TRANSITIONS, HalfMessage, HalfState


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfVerb:
    """One act: what it is called, what it does in plain words, and what it takes."""

    name: str
    permission: str
    label: Any
    question: Any
    effect: Any
    done: Any
    act: Callable[..., object]

    def missing(self, user: Any) -> str:
        """Return the permission that a person would need and does not have."""
        wanted = f"{HalfMessage._meta.app_label}.{self.permission}_halfmessage"
        return "" if user.has_perm(wanted) else wanted

    def why_not(self, user: Any, half: HalfMessage | None = None) -> str:
        """Return why a person cannot do this (to this half message), or nothing if it is possible."""
        if missing := self.missing(user):
            return _("you need the permission %(names)s") % {"names": missing}
        if half is not None and not half.allows(self.name):
            sources = HALF_TRANSITIONS[self.name][0]
            return _("only for half messages that are %(states)s; this one is %(state)s") % {
                "states": _(" or ").join(str(state.label) for state in HalfState if state in sources),
                "state": HalfState(half.state).label,
            }
        return ""


COMMIT: Final = HalfVerb(
    name="commit",
    permission="commit",
    label=gettext_lazy("Commit"),
    question=gettext_lazy("Commit?"),
    effect=gettext_lazy(
        "The message is sent. Make sure first that the work it tells of was done: whoever receives it will believe so. "
        "This cannot be taken back."
    ),
    done=gettext_lazy("committed"),
    act=decisions.commit,
)
ROLLBACK: Final = HalfVerb(
    name="rollback",
    permission="rollback",
    label=gettext_lazy("Roll back"),
    question=gettext_lazy("Roll back?"),
    effect=gettext_lazy(
        "The message is never sent. Make sure first that the work it tells of was not done and cannot be done any "
        "more. A process that still wants to commit it fails. This cannot be taken back."
    ),
    done=gettext_lazy("rolled back"),
    act=decisions.rollback,
)
ASK_AGAIN: Final = HalfVerb(
    name="ask_again",
    permission="ask",
    label=gettext_lazy("Ask again"),
    question=gettext_lazy("Ask again?"),
    effect=gettext_lazy(
        "The checker is asked again, as often as the first time. For when it, or what it asks, was out of order."
    ),
    done=gettext_lazy("will be asked about again"),
    act=decisions.ask_again,
)
HALF_VERBS: Final = {verb.name: verb for verb in (COMMIT, ROLLBACK, ASK_AGAIN)}


def carry_out(verb: HalfVerb, ids: Sequence[int], *, user: Any, reason: str) -> Outcome:
    """Do one verb to these half messages; see each_alone."""

    def act(pk: int) -> None:
        verb.act(HalfMessage.objects.get(pk=pk), actor=user, reason=reason)

    return each_alone(act, ids, verb=verb.name, kind=HalfMessage._meta.verbose_name)
