"""What every act asks: why."""

from django import forms
from django.utils.translation import gettext_lazy


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        help_text=gettext_lazy("Stays in the history, with your name."),
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
        max_length=2000,
    )
