"""What is said of a producer."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.text import capfirst

from django_dlq.models import Producer


class TopicsField(forms.CharField):
    """A list of names, one per line."""

    widget = forms.Textarea(attrs={"rows": 4, "cols": 60})

    def prepare_value(self, value: Any) -> Any:
        """Show a list as lines; what was typed stays as it was."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """Return the names, each once, in the order in which they were written."""
        return list(dict.fromkeys(filter(None, map(str.strip, str(value or "").splitlines()))))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare the names, not the lines."""
        return bool((initial or []) != self.to_python(data))

    def validate(self, value: Sequence[str]) -> None:
        """Leave it to the model, whose rules hold everywhere."""


class ProducerForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A producer without its secrets, which nobody types."""

    topics = TopicsField(
        label=capfirst(Producer._meta.get_field("topics").verbose_name),
        help_text=Producer._meta.get_field("topics").help_text,
    )

    class Meta:
        model = Producer
        fields = ("name", "user", "topics", "callback_url", "is_active")
