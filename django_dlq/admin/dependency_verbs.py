"""What a person may do about what handlers depend on."""

from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_dlq import dependencies
from django_dlq.admin.asking import Question
from django_dlq.admin.reason_form import ReasonForm
from django_dlq.exceptions import IllegalTransition
from django_dlq.models import Actor, Dependency
from django_dlq.registry import handlers


class OpenForm(ReasonForm):
    """Which circuit to open, and why."""

    dependency = forms.ChoiceField(label=gettext_lazy("Dependency"))
    field_order = ("dependency", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices: Any = self.fields["dependency"]
        choices.choices = [(name, name) for name in sorted(handlers.dependencies())]


def _open(*, actor: Actor, dependency: str, reason: str) -> str:
    if not dependencies.open_circuit(dependency, actor=actor, reason=reason):
        raise IllegalTransition(_("A person has opened it already. Nothing was changed."))
    return _("The circuit of %(name)s is open.") % {"name": dependency}


def _close(row: Dependency, *, actor: Actor, reason: str) -> str:
    if not dependencies.close_circuit(row.name, actor=actor, reason=reason):
        raise IllegalTransition(_("It is closed already. Nothing was changed."))
    return _("The circuit of %(name)s is closed.") % {"name": row}


def _replay(row: Dependency, *, actor: Actor, reason: str) -> str:
    count = dependencies.replay_dead(row.name, actor=actor, reason=reason)
    return ngettext("%(n)d letter will be replayed.", "%(n)d letters will be replayed.", count) % {"n": count}


OPEN: Final = Question(
    name="add",
    label=gettext_lazy("Open"),
    question=gettext_lazy("Open a circuit"),
    effect=gettext_lazy(
        "Its handlers are called no more, until a person closes it. Their messages wait in the broker."
    ),
    permissions=("django_dlq.open_dependency",),
    act=_open,
    on_row=False,
    form=OpenForm,
    is_risky=True,
)
CLOSE: Final = Question(
    name="delete",
    label=gettext_lazy("Close"),
    question=gettext_lazy("Close the circuit of %(name)s?"),
    effect=gettext_lazy(
        "Its handlers are called again. If it is still down, the circuit opens again after a few failures."
    ),
    permissions=("django_dlq.close_dependency",),
    act=_close,
)
REPLAY: Final = Question(
    name="replay",
    label=gettext_lazy("Replay"),
    question=gettext_lazy("Replay what died of %(name)s?"),
    effect="",  # it says how many, see DependencyAdmin.question_context
    permissions=("django_dlq.replay_deadletter",),
    act=_replay,
    then="change",
)
