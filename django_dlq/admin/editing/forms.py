"""The forms of edit and replay: "unchanged" for what nobody has touched, exact bytes for the rest."""

import re
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.editing.body_text import BodyText, why_not_json
from django_dlq.deadletters import UNCHANGED
from django_dlq.encoding import encode_headers
from django_dlq.exceptions import PublishError
from django_dlq.message import IDENTITY_LENGTH, Headers, readable
from django_dlq.models import DeadLetter
from django_dlq.payload import describe

MOST_HEADERS: Final = 100
"""Headers that are offered for editing; Django limits the number of fields in a form."""

SPARE_ROWS: Final = 2

UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class LineInput(forms.TextInput):
    """One line of text that must arrive as it was typed."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(attrs={"autocomplete": "off", "spellcheck": "false", "size": 40} | attrs)


class HeaderForm(forms.Form):
    """One header. A value that is not one line of text is locked: it can be kept or removed, not changed."""

    name = forms.CharField(label=gettext_lazy("Name"), required=False, strip=False, widget=LineInput(size=24))
    value = forms.CharField(label=gettext_lazy("Value"), required=False, strip=False, widget=LineInput())
    is_absent = forms.BooleanField(label=gettext_lazy("no value"), required=False)
    is_removed = forms.BooleanField(label=gettext_lazy("remove"), required=False)

    def __init__(self, *args: Any, original: tuple[str, bytes | None] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.original = original
        self.is_locked = original is not None and not _fits(original)
        if original is not None:
            name, value = original
            self.initial = {"name": name, "value": readable(value or b""), "is_absent": value is None}

    def pair(self) -> tuple[str, bytes | None] | None:
        """Return the header that will travel, or None if there is none."""
        data = self.cleaned_data
        if not data or data["is_removed"]:  # a spare row that was left empty has no data at all
            return None
        if self.is_locked:
            return self.original
        if not data["name"]:
            return None
        return data["name"], None if data["is_absent"] else data["value"].encode()

    def clean(self) -> dict[str, Any]:
        """Refuse a value without a name."""
        data: dict[str, Any] = self.cleaned_data
        if data.get("value") and not data.get("name") and not data["is_removed"] and not self.is_locked:
            self.add_error("name", _("A header needs a name. To remove it, tick “remove”."))
        if data["is_absent"] and data.get("value"):
            self.add_error("value", _("Either there is no value, or it is this text. Clear one of them."))
        return data


class BaseHeaders(forms.BaseFormSet):  # type: ignore[type-arg]
    """The rows of headers, those of the letter first, and some spare ones."""

    def __init__(self, data: Any = None, *, originals: Headers) -> None:
        self.originals = originals
        super().__init__(data, initial=[{} for _original in originals], prefix="headers")

    def get_form_kwargs(self, index: Any) -> dict[str, Any]:
        """Give each row the header that it stands for."""
        known = index is not None and index < len(self.originals)
        return {**super().get_form_kwargs(index), "original": self.originals[index] if known else None}

    def clean(self) -> None:
        """Refuse names that cannot be sent, before anything is previewed."""
        if any(self.errors) or self.edited() is UNCHANGED:
            return
        try:
            encode_headers(self.pairs())
        except PublishError as error:
            raise forms.ValidationError(str(error)) from error

    def pairs(self) -> Headers:
        """Return the headers that will travel."""
        pairs = (form.pair() for form in self.forms)
        return tuple(pair for pair in pairs if pair is not None)

    def edited(self) -> Any:
        """Return the headers, or UNCHANGED."""
        pairs = self.pairs()
        return UNCHANGED if pairs == self.originals else pairs


HeaderFormSet: Any = forms.formset_factory(
    HeaderForm, formset=BaseHeaders, extra=SPARE_ROWS, max_num=MOST_HEADERS + SPARE_ROWS
)


class EditForm(forms.Form):
    """Body, key, tag and reason. What the letter holds comes from the letter, never from the browser."""

    body = forms.CharField(
        label=gettext_lazy("Body"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false", "autocomplete": "off", "class": "dlq-editor"}),
    )
    has_no_body = forms.BooleanField(label=gettext_lazy("no body at all (a tombstone)"), required=False)
    is_not_json = forms.BooleanField(label=gettext_lazy("Send it although it is not JSON"), required=False)
    key = forms.CharField(label=gettext_lazy("Key"), required=False, strip=False, widget=LineInput())
    has_no_key = forms.BooleanField(label=gettext_lazy("no key"), required=False)
    tag = forms.CharField(
        label=gettext_lazy("Tag"), required=False, strip=False, max_length=IDENTITY_LENGTH, widget=LineInput()
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=2000,
        help_text=gettext_lazy("Stays in the timelines of the letter and of its copy, with your name."),
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False)
    filters = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, letter: DeadLetter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.letter = letter
        self.body_text = BodyText.of(letter.body_bytes or b"")
        self.must_be_json = describe(letter.body_bytes, masked=False).kind == "json"
        self.key_is_locked = letter.raw_key is not None or bool(UNFIT.search(letter.key or ""))
        self.tag_is_locked = bool(UNFIT.search(letter.tag))
        self.initial = {
            **self.initial,
            "body": self.body_text.text,
            "has_no_body": letter.body is None,
            "key": letter.key or "",
            "has_no_key": letter.key is None,
            "tag": letter.tag,
        }

    def clean(self) -> dict[str, Any]:
        """Turn what was typed into bytes, and check that JSON is still JSON."""
        data: dict[str, Any] = self.cleaned_data
        if data.get("has_no_key") and data.get("key") not in ("", self.initial["key"]):
            self.add_error("has_no_key", _("Either there is no key, or it is this text. Clear one of them."))
        if "body" not in data:
            return data
        try:
            data["body_bytes"] = self._typed_body(data["body"].replace("\r\n", "\n"))
        except ValueError as error:
            self.add_error("body", str(error))
        return data

    def _typed_body(self, text: str) -> bytes | None:
        data = self.cleaned_data
        if data["has_no_body"]:
            if text not in ("", self.body_text.text):
                raise ValueError(_("Either there is no body at all, or there is this text. Clear one of them."))
            return None
        body = self.body_text.bytes_of(text)
        if self.must_be_json and not data["is_not_json"] and body != self.letter.body_bytes:
            problem = why_not_json(body.decode(errors="replace") if self.body_text.form == "base64" else text)
            if problem is not None:
                raise ValueError(_("The original is JSON, and this is not: %(why)s.") % {"why": problem})
        return body

    def edited_body(self) -> Any:
        """Return the body's bytes, None for a tombstone, or UNCHANGED."""
        body = self.cleaned_data["body_bytes"]
        return UNCHANGED if body == self.letter.body_bytes else body

    def edited_key(self) -> Any:
        """Return the key, None for no key, or UNCHANGED."""
        if self.key_is_locked:
            return UNCHANGED
        key = None if self.cleaned_data["has_no_key"] else self.cleaned_data["key"]
        return UNCHANGED if key == self.letter.key else key

    def edited_tag(self) -> Any:
        """Return the tag, or UNCHANGED."""
        tag = self.cleaned_data["tag"]
        return UNCHANGED if self.tag_is_locked or tag == self.letter.tag else tag


def _fits(header: tuple[str, bytes | None]) -> bool:
    name, value = header
    try:
        text = (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return bool(name) and not UNFIT.search(name) and not UNFIT.search(text)
