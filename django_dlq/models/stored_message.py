"""The columns that every table with a message in it shares."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_dlq.message import IDENTITY_LENGTH, exact, readable
from django_dlq.models.fields import ExactCharField, ExactTextField, HeadersField


class StoredMessage(models.Model):
    """A message as it travels, in columns that can be read and searched, and exact."""

    message_id = ExactCharField(_("message id"), max_length=IDENTITY_LENGTH, editable=False)
    message_key = ExactCharField(_("message key"), max_length=IDENTITY_LENGTH, editable=False)
    topic = ExactCharField(_("topic"), max_length=IDENTITY_LENGTH)
    key = ExactTextField(_("key"), null=True, blank=True)
    # Only where `key`, which is text, cannot give the key's bytes back.
    raw_key = models.BinaryField(_("raw key"), null=True)
    tag = ExactCharField(_("tag"), max_length=IDENTITY_LENGTH, blank=True, default="")
    headers = HeadersField(_("headers"))
    # NULL is a tombstone, which is not an empty body.
    body = models.BinaryField(_("body"), null=True)
    broker = models.CharField(_("broker"), max_length=100, default="default")

    class Meta:
        abstract = True

    @property
    def key_bytes(self) -> bytes | None:
        """The record key, byte for byte."""
        if self.raw_key is not None:
            return bytes(self.raw_key)
        return None if self.key is None else self.key.encode()

    @property
    def body_bytes(self) -> bytes | None:
        """The body, byte for byte; None for a tombstone."""
        return None if self.body is None else bytes(self.body)

    def message_columns(self) -> dict[str, object]:
        """Return the message's columns by name, to write the same message into another table."""
        return {field.attname: getattr(self, field.attname) for field in StoredMessage._meta.fields}


def key_columns(key: bytes | None) -> dict[str, object]:
    """Return the columns `key` and `raw_key` for a key's bytes."""
    return {"key": None if key is None else readable(key), "raw_key": exact(key)}
