"""What is asked before something is paused."""

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.reason_form import ReasonForm
from django_dlq.conf import conf
from django_dlq.message import IDENTITY_LENGTH
from django_dlq.models import Scope

LABELS = (
    (Scope.TOPIC, gettext_lazy("a whole topic")),
    (Scope.KEY, gettext_lazy("one key of a topic")),
    (Scope.BROKER, gettext_lazy("a broker, with all its topics")),
)

NAMES: Final[dict[str, tuple[str, ...]]] = {
    Scope.TOPIC: ("topic",),
    Scope.KEY: ("topic", "key"),
    Scope.BROKER: ("broker",),
}


class PauseForm(ReasonForm):
    """What, and why."""

    scope = forms.ChoiceField(label=gettext_lazy("What"), choices=LABELS, widget=forms.RadioSelect, initial=Scope.TOPIC)
    topic = forms.CharField(label=gettext_lazy("Topic"), required=False, max_length=IDENTITY_LENGTH)
    key = forms.CharField(label=gettext_lazy("Key"), required=False, strip=False)
    broker = forms.ChoiceField(label=gettext_lazy("Broker"), required=False)

    field_order = ("scope", "topic", "key", "broker", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        brokers: Any = self.fields["broker"]
        brokers.choices = [("", "---------"), *((alias, alias) for alias in conf.DLQ_BROKERS)]

    def clean(self) -> dict[str, Any]:
        """Refuse a form that names less than what was chosen, or more: then it is not clear what is meant."""
        for name in ("topic", "key", "broker"):
            if self.errors:
                break
            is_wanted, is_there = name in NAMES[self.cleaned_data["scope"]], bool(self.cleaned_data[name])
            if is_wanted and not is_there:
                self.add_error(name, _("Say which one."))
            elif is_there and not is_wanted:
                self.add_error(name, _("Leave this empty, or choose another answer above."))
        return self.cleaned_data


def named(scope: str, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to pause or resume, in the words of `switches`: of these names, those that the scope has."""
    return {name: names[name] for name in NAMES[scope]}
