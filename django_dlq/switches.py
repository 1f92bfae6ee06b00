"""Kill switches: stop sending to a topic, a key of it, or a broker, and go on later. Nothing is lost meanwhile.

    switches.pause(topic="orders", actor=request.user, reason="the new release writes wrong totals")

The messages of what is paused wait in the outbox, and publishing goes on. Relays notice within seconds; what one of
them has in hand at that moment is still sent.
"""

from functools import partial

from django.db import router, transaction

from django_dlq import acts, debezium, signals
from django_dlq.composing import check_key, check_text
from django_dlq.conf import conf
from django_dlq.exceptions import InvalidMessage, InvalidSwitch, ReasonRequired
from django_dlq.models import Actor, Pause, Scope

__all__ = ["pause", "resume"]


def pause(
    *, topic: str | None = None, key: str | None = None, broker: str | None = None, actor: Actor, reason: str
) -> tuple[Pause, bool]:
    """Stop sending to a topic, to one key of a topic, or to a broker.

    Return the pause, and whether this call made it: if somebody was faster, theirs stays, with their name and reason.
    Raises InvalidSwitch for anything else than one of the three, for an alias that DLQ_BROKERS does not have, and where
    Debezium sends the outbox; ReasonRequired without a reason.
    """
    wanted = _wanted(topic, key, broker)
    _require(reason, "pause")
    if debezium.is_used():
        raise InvalidSwitch("Debezium sends the outbox, and knows no pauses: pause its connector in Kafka Connect")
    if broker is not None:
        _check_broker(broker)
    name, user = acts.name_of(actor), None if isinstance(actor, str) else actor
    columns = {"scope": wanted.scope, "topic": wanted.topic, "key": wanted.key, "broker": wanted.broker}
    columns |= {"reason": reason.strip(), "actor": user, "actor_name": name}
    with transaction.atomic(using=_database()):
        paused, is_new = Pause.objects.get_or_create(digest=wanted.own_digest(), defaults=columns)
        if is_new:
            paused.refresh_from_db()  # what the database's clock has filled in
            _tell(paused, is_paused=True, actor=actor, reason=reason)
    return paused, is_new


def resume(
    *, topic: str | None = None, key: str | None = None, broker: str | None = None, actor: Actor, reason: str
) -> Pause | None:
    """Go on sending what was paused under exactly these names.

    Return what was paused, or None if nothing was: it never had been, or somebody was faster. Resuming a topic leaves
    pauses of its keys alone. Raises what `pause` raises, but takes a broker that is paused though DLQ_BROKERS has lost
    it.
    """
    wanted = _wanted(topic, key, broker)
    _require(reason, "resume")
    with transaction.atomic(using=_database()):
        paused = Pause.objects.select_for_update().filter(digest=wanted.own_digest()).first()
        if paused is None or not Pause.objects.filter(pk=paused.pk).delete()[0]:
            if broker is not None:
                _check_broker(broker)
            return None
        _tell(paused, is_paused=False, actor=actor, reason=reason)
    return paused


def _wanted(topic: str | None, key: str | None, broker: str | None) -> Pause:
    if (topic is None) is (broker is None) or (key is not None and topic is None):
        raise InvalidSwitch("name one thing: a topic, a topic and one of its keys, or a broker")
    if broker is not None:
        return Pause(scope=Scope.BROKER, broker=broker)
    if not topic:
        raise InvalidSwitch("a topic has a name")
    try:
        check_text("topic", topic)
        check_key(key)
    except InvalidMessage as error:
        raise InvalidSwitch(str(error)) from error
    return Pause(scope=Scope.TOPIC if key is None else Scope.KEY, topic=topic, key=key)


def _check_broker(alias: str) -> None:
    if alias not in conf.DLQ_BROKERS:
        known = ", ".join(sorted(conf.DLQ_BROKERS)) or "none"
        raise InvalidSwitch(f"DLQ_BROKERS has no broker {alias!r}; it has: {known}")


def _require(reason: str, verb: str) -> None:
    if not reason.strip():
        raise ReasonRequired(f"say why you {verb} this; others will want to know")


def _tell(paused: Pause, *, is_paused: bool, actor: Actor, reason: str) -> None:
    flag, verb = (acts.ADDITION, "paused") if is_paused else (acts.DELETION, "resumed")
    acts.record(paused, actor=actor, flag=flag, said=f"{verb}: {reason.strip()}")
    facts = {"pause": paused, "is_paused": is_paused, "actor_name": acts.name_of(actor), "reason": reason.strip()}
    transaction.on_commit(partial(signals.tell, signals.switch_changed, Pause, **facts), using=_database())


def _database() -> str:
    return router.db_for_write(Pause)
