"""What a person may do about dead letters."""

from typing import Final

from django.utils.translation import gettext_lazy, ngettext_lazy

from django_dlq import deadletters
from django_dlq.admin.verbs import Verb, Words

REPLAY: Final = Verb(
    name="replay",
    label=gettext_lazy("Replay"),
    question=gettext_lazy("Replay?"),
    effect=gettext_lazy(
        "The message is sent again as it was, with the same ids: to the group that failed, or to its topic if it could "
        "not be sent. What becomes of it comes back to the letter: resolved, or dead again."
    ),
    permissions=("django_dlq.replay_deadletter",),
    act=deadletters.replay,
    done=gettext_lazy("replayed"),
    needs_reason=False,
    is_main=True,
)
EDIT: Final = Verb(
    name="edit",
    label=gettext_lazy("Edit and replay"),
    question=gettext_lazy("Edit and replay?"),
    effect=gettext_lazy(
        "A corrected copy is sent, with a new message id and the same message key. The copy is a letter of its own, "
        "which tells what becomes of it. This letter stays as it is, and counts as resolved."
    ),
    # Nobody can correct what they may not see.
    permissions=("django_dlq.edit_deadletter", "django_dlq.unmask_deadletter"),
    act=None,
)
DISCARD: Final = Verb(
    name="discard",
    label=gettext_lazy("Discard"),
    question=gettext_lazy("Discard?"),
    effect=gettext_lazy(
        "Nothing is sent. The letter is settled and needs nobody any more. It can be read, and restored, until "
        "retention deletes it. Messages that wait behind it go on."
    ),
    permissions=("django_dlq.discard_deadletter",),
    act=deadletters.discard,
    done=gettext_lazy("discarded"),
    is_risky=True,
)
RESTORE: Final = Verb(
    name="restore",
    label=gettext_lazy("Restore"),
    question=gettext_lazy("Restore?"),
    effect=gettext_lazy(
        "The letter is dead again, and needs somebody. Nothing is sent. Of a letter that is replaying, this gives up "
        "waiting for the outcome, which may still come."
    ),
    permissions=("django_dlq.restore_deadletter",),
    act=deadletters.restore,
    done=gettext_lazy("restored"),
    needs_reason=False,
    is_main=True,
)

LETTERS: Final = Words(
    only_for=gettext_lazy("only for letters that are %(states)s; this one is %(state)s"),
    done=ngettext_lazy("%(count)d letter %(done)s.", "%(count)d letters %(done)s.", "count"),
    skipped=ngettext_lazy("%(count)d letter skipped: %(why)s", "%(count)d letters skipped: %(why)s", "count"),
    not_tried=ngettext_lazy(
        "The database failed. %(count)d letter was not tried.",
        "The database failed. %(count)d letters were not tried.",
        "count",
    ),
    reason_stays=gettext_lazy("Stays in the timeline of each letter, with your name."),
)
