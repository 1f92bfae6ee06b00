"""What a person may do about half messages."""

from typing import Final

from django.utils.translation import gettext_lazy, ngettext_lazy

from django_dlq import decisions
from django_dlq.admin.verbs import Verb, Words

COMMIT: Final = Verb(
    name="commit",
    label=gettext_lazy("Commit"),
    question=gettext_lazy("Commit?"),
    effect=gettext_lazy(
        "The message is sent. Make sure first that the work it tells of was done: whoever receives it will believe so. "
        "This cannot be taken back."
    ),
    permissions=("django_dlq.commit_halfmessage",),
    act=decisions.commit,
    done=gettext_lazy("committed"),
)
ROLLBACK: Final = Verb(
    name="rollback",
    label=gettext_lazy("Roll back"),
    question=gettext_lazy("Roll back?"),
    effect=gettext_lazy(
        "The message is never sent. Make sure first that the work it tells of was not done and cannot be done any "
        "more. A process that still wants to commit it fails. This cannot be taken back."
    ),
    permissions=("django_dlq.rollback_halfmessage",),
    act=decisions.rollback,
    done=gettext_lazy("rolled back"),
    is_risky=True,
)
ASK_AGAIN: Final = Verb(
    name="ask_again",
    label=gettext_lazy("Ask again"),
    question=gettext_lazy("Ask again?"),
    effect=gettext_lazy(
        "The checker is asked again, as often as the first time. For when it, or what it asks, was out of order."
    ),
    permissions=("django_dlq.ask_halfmessage",),
    act=decisions.ask_again,
    done=gettext_lazy("will be asked about again"),
)

HALF_MESSAGES: Final = Words(
    only_for=gettext_lazy("only for half messages that are %(states)s; this one is %(state)s"),
    done=ngettext_lazy("%(count)d half message %(done)s.", "%(count)d half messages %(done)s.", "count"),
    skipped=gettext_lazy("Skipped: %(count)d. %(why)s"),
    not_tried=gettext_lazy("The database failed. Not tried: %(count)d."),
    reason_stays=gettext_lazy("Stays with each half message, with your name."),
)
