"""How one message is shown: its identities, headers and body, masked for those who may not see all of it."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_dlq.admin.display import absent
from django_dlq.admin.read_only import Fact
from django_dlq.message import readable
from django_dlq.models import DeadLetter, StoredMessage
from django_dlq.payload import describe, describe_headers, is_secret

UNMASK = f"{DeadLetter._meta.app_label}.unmask_deadletter"

KINDS = {
    "json": gettext_lazy("JSON"),
    "text": gettext_lazy("text, not JSON"),
    "binary": gettext_lazy("binary, not UTF-8 text; undecodable bytes are shown as \\x.."),
    "empty": gettext_lazy("empty"),
    "absent": gettext_lazy("no body (a tombstone)"),
}


def message_context(request: HttpRequest, message: StoredMessage) -> dict[str, Any]:
    """Return what the part of a page that shows a message needs."""
    masked = not request.user.has_perm(UNMASK)
    body = describe(message.body_bytes, masked=masked)
    headers = describe_headers(message.headers, masked=masked)
    hides_headers = masked and any(is_secret(name) and value is not None for name, value in message.headers)
    return {
        "body": body,
        "body_kind": KINDS[body.kind],
        "body_size": filesizeformat(body.size),
        "headers": [(name, absent(value)) for name, value in headers],
        "is_masked": body.masked or hides_headers,
        "unmask_permission": UNMASK,
    }


def identity_facts(message: StoredMessage) -> Sequence[Fact]:
    """Return the facts that every stored message has."""
    key = message.key_bytes
    return [
        (_("Message key"), message.message_key),
        (_("Topic"), message.topic),
        (_("Key"), absent(None if key is None else readable(key))),
        (_("Message id"), message.message_id),
        (_("Tag"), absent(message.tag or None)),
        (_("Broker"), message.broker),
    ]
