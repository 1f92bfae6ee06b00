"""Let a consumer group go on that was stopped because too many of its messages failed.

    stops.resume("shipping", actor=request.user, reason="the address service is configured again")

Consumers see it within seconds. A process of another release need not wait for it: a stop binds the release whose
messages failed.
"""

from functools import partial

from django.db import router, transaction

from django_dlq import signals
from django_dlq.conf import conf
from django_dlq.exceptions import ReasonRequired
from django_dlq.models import Actor, StoppedGroup
from django_dlq.models.stopped_group import stop_key

__all__ = ["resume"]


def resume(group: str, *, release: str | None = None, actor: Actor, reason: str) -> StoppedGroup | None:
    """Let a group go on in a release, by default in the one of this process, DLQ_RELEASE.

    Return the stop that this has ended, or None if the group was not stopped or somebody was faster. Raises
    ReasonRequired without a reason.
    """
    if not reason.strip():
        raise ReasonRequired("say why the group may go on; others will want to know")
    key = stop_key(group, conf.DLQ_RELEASE if release is None else release)
    name, user = (actor, None) if isinstance(actor, str) else (actor.get_username(), actor)
    using = router.db_for_write(StoppedGroup)
    with transaction.atomic(using=using):
        stop = StoppedGroup.objects.filter(stop_key=key).first()
        if stop is None or not stop.end(actor=user, actor_name=name, reason=reason.strip()):
            return None
        told = {"stop": stop, "actor_name": name, "reason": reason.strip()}
        transaction.on_commit(partial(signals.tell, signals.group_resumed, StoppedGroup, **told), using=using)
    return stop
