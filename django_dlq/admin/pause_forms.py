"""What is asked before something is paused or resumed."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.conf import conf
from django_dlq.message import IDENTITY_LENGTH
from django_dlq.models import Scope

LABELS = (
    (Scope.TOPIC, gettext_lazy("a whole topic")),
    (Scope.KEY, gettext_lazy("one key of a topic")),
    (Scope.BROKER, gettext_lazy("a broker, with all its topics")),
)


class ResumeForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("Stays in the history, with your name."),
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
        max_length=2000,
    )


class PauseForm(ResumeForm):
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

    @property
    def thing(self) -> dict[str, Any]:
        """What to pause, in the words of switches.pause."""
        names = {Scope.TOPIC: ("topic",), Scope.KEY: ("topic", "key"), Scope.BROKER: ("broker",)}
        return {name: self.cleaned_data[name] for name in names[Scope(self.cleaned_data["scope"])]}

    def clean(self) -> dict[str, Any]:
        """Refuse a form that names less than what was chosen, or more: then it is not clear what is meant."""
        if "scope" not in self.cleaned_data:
            return self.cleaned_data
        wanted = self.thing if not self.errors else {}
        for name in ("topic", "key", "broker"):
            if self.errors:
                break
            if name in wanted and not wanted[name]:
                self.add_error(name, _("Say which one."))
            elif name not in wanted and self.cleaned_data[name]:
                self.add_error(name, _("Leave this empty, or choose another answer above."))
        return self.cleaned_data
