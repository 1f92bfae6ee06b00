"""What people may type."""

from django import forms
from django.utils.translation import gettext_lazy as _

from example_project.shop.models import Order


class OrderForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """Who buys a course, and where its box goes."""

    # Made with the page: sent twice, it is the same payment.
    payment = forms.UUIDField(widget=forms.HiddenInput, required=False)
    crash = forms.BooleanField(
        label=_("Crash after charging"),
        required=False,
        help_text=_("The shop dies when the bank has your money, before it has written that down."),
    )

    class Meta:
        model = Order
        fields = ["parent_name", "child_name", "address"]
        widgets = {
            "parent_name": forms.TextInput(attrs={"autocomplete": "name"}),
            "child_name": forms.TextInput(attrs={"autocomplete": "off"}),
            "address": forms.TextInput(attrs={"autocomplete": "street-address"}),
        }
        help_texts = {"address": _("Street, town. Any words will do: this is a demo, and no card is asked for.")}


class PlaceOrdersForm(forms.Form):
    """How many orders the control room places at once."""

    number = forms.IntegerField(min_value=1, max_value=500)


class DeliverAgainForm(forms.Form):
    """Whose messages are to be delivered a second time."""

    payment = forms.ModelMultipleChoiceField(Order.objects.all(), to_field_name="payment")


class SwitchForm(forms.Form):
    """Whether the logistics service shall be open."""

    to_open = forms.TypedChoiceField(choices=[("yes", "yes"), ("no", "no")], coerce=lambda answer: answer == "yes")
