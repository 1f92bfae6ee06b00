"""What a person may do about the kill switches."""

from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq import switches
from django_dlq.admin.asking import Question
from django_dlq.admin.pause_form import PauseForm, named
from django_dlq.exceptions import IllegalTransition
from django_dlq.models import Actor, Pause

GONE = gettext_lazy("It is not paused any more. Nothing was changed.")


def _pause(*, actor: Actor, reason: str, scope: str, **names: Any) -> str:
    pause, is_new = switches.pause(**named(scope, names), actor=actor, reason=reason)
    if not is_new:
        text = _("Paused already by %(name)s: %(what)s. Nothing was changed.")
        raise IllegalTransition(text % {"what": pause, "name": pause.actor_name})
    return _("Paused: %(what)s.") % {"what": pause}


def _resume(row: Pause, *, actor: Actor, reason: str) -> str:
    names = {"topic": row.topic, "key": row.key, "broker": row.broker}
    if not switches.resume(**named(row.scope, names), actor=actor, reason=reason):
        raise IllegalTransition(GONE)
    return _("Resumed: %(what)s.") % {"what": row}


PAUSE: Final = Question(
    name="add",
    label=gettext_lazy("Pause"),
    question=gettext_lazy("Pause"),
    effect=gettext_lazy(
        "Relays stop sending it within seconds; what one of them has in hand is still sent. Publishing goes on: the "
        "messages wait in the outbox until somebody resumes it, and none is lost."
    ),
    permissions=("django_dlq.add_pause",),
    act=_pause,
    on_row=False,
    form=PauseForm,
    template="admin/django_dlq/pause/pause.html",
    is_risky=True,
)
RESUME: Final = Question(
    name="delete",
    label=gettext_lazy("Resume"),
    question=gettext_lazy("Resume?"),
    effect=gettext_lazy("Relays go on within seconds, and send what has waited, in its order."),
    permissions=("django_dlq.delete_pause",),
    act=_resume,
    template="admin/django_dlq/pause/resume.html",
    gone=GONE,
)
