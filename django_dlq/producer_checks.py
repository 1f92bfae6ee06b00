"""Ask a producer that is not Django, at its own URL, what became of a half message that it never decided.

It is sent this, signed (callback/signature.py), and answers {"verdict": "commit"}, "rollback" or "unknown":

    {"id": "17", "message_id": "…", "message_key": "…", "topic": "payments", "key": "A-17",
     "prepared_at": "2026-11-22T08:30:00Z", "check": 1}

Not promised: that it is asked once. A check whose answer is lost on its way comes again.
"""

import json
import time
from datetime import UTC
from typing import Final

from django_dlq import half_messages
from django_dlq.callback.addresses import Rules, check_allowed, target_of
from django_dlq.callback.call import excerpt, post
from django_dlq.callback.signature import signed_headers
from django_dlq.checkers import Verdict, checker
from django_dlq.conf import conf
from django_dlq.exceptions import BadAnswer, CheckerUnreachable
from django_dlq.message import ReceivedMessage
from django_dlq.models import HalfMessage, Producer

CHECKER: Final = "django_dlq.producer"


@checker(CHECKER)
def ask_producer(message: ReceivedMessage) -> Verdict:
    """Return what the producer of a half message says about it; this is the checker of all that producers prepare.

    Raises CheckerUnreachable if nobody was asked, and BadAnswer if somebody was and gave no verdict.
    """
    half = half_messages.half(message.message_id)
    producer = Producer.objects.filter(name=half.producer).first()
    if producer is None:
        raise CheckerUnreachable(f"there is no producer {half.producer!r} any more")
    if why := why_not_called(producer):
        raise CheckerUnreachable(f"the producer {half.producer!r} is not asked: {why}")
    body = json.dumps(_question(half)).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "django_dlq"}
    headers |= signed_headers(body, at=int(time.time()), by=producer.secrets)
    seconds = conf.DLQ_CHECKBACK_HTTP_TIMEOUT.total_seconds()
    return _verdict(post(producer.callback_url, body, headers, rules=_rules(), seconds=seconds))


def why_not_called(producer: Producer) -> str:
    """Return what keeps a producer from being asked, as far as one can tell without trying; empty if nothing does."""
    if not producer.is_active:
        return "it is not active"
    if not producer.secrets:
        return "it has no secret, with which the request would be signed"
    try:
        check_allowed(target_of(producer.callback_url), _rules())
    except CheckerUnreachable as error:
        return str(error)
    return ""


def _rules() -> Rules:
    return Rules(
        hosts=conf.DLQ_CHECKBACK_HOSTS,
        allow_http=conf.DLQ_CHECKBACK_ALLOW_HTTP,
        allow_private=conf.DLQ_CHECKBACK_ALLOW_PRIVATE,
    )


def _question(half: HalfMessage) -> dict[str, object]:
    return {
        "id": str(half.pk),
        "message_id": half.message_id,
        "message_key": half.message_key,
        "topic": half.topic,
        "key": half.key,
        "prepared_at": half.prepared_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "check": half.checks + 1,
    }


def _verdict(answer: bytes) -> Verdict:
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        said = None
    word = said.get("verdict") if isinstance(said, dict) else None
    if word not in list(Verdict):
        raise BadAnswer(f'the answer is not {{"verdict": "commit"}}, "rollback" or "unknown": {excerpt(answer)}')
    return Verdict(word)
