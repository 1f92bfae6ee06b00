"""What a person may do about what handlers depend on: open a circuit, close it, and replay what died of an outage.

    dependencies.open_circuit("logistics", actor=request.user, reason="they migrate until noon")

While a circuit is open its handlers are not called, and their messages wait in the broker. Processes notice within
about a second; what a handler is doing at that moment it finishes.
"""

from contextlib import suppress
from functools import partial

from django.db import connections, router, transaction

from django_dlq import acts, deadletters, signals
from django_dlq.exceptions import IllegalTransition, ReasonRequired, UnknownDependency
from django_dlq.models import Actor, Dependency
from django_dlq.registry import handlers

__all__ = ["close_circuit", "open_circuit", "replay_dead"]

BATCH = 100


def open_circuit(name: str, *, actor: Actor, reason: str) -> bool:
    """Open the circuit of a dependency until a person closes it: it is not probed meanwhile.

    Return False if a person has opened it already: then theirs stays. Raises ReasonRequired, and UnknownDependency for
    a name that no handler of this process depends on.
    """
    _require(reason, "open")
    if name not in handlers.dependencies():
        known = ", ".join(sorted(handlers.dependencies())) or "nothing"
        raise UnknownDependency(f"no handler depends on {name!r}; they depend on: {known}")
    user = None if isinstance(actor, str) else actor
    who = {"actor": user, "actor_name": acts.name_of(actor)[:255], "reason": reason.strip()}
    with transaction.atomic(using=_database()):
        if not Dependency.objects.open_by_hand(name, **who):
            return False
        row = Dependency.objects.get(name=name)
        acts.record(row, actor=actor, flag=acts.CHANGE, said=f"opened: {reason.strip()}")
        tell = partial(signals.tell, signals.circuit_opened, Dependency, dependency=row)
        transaction.on_commit(tell, using=_database())
    return True


def close_circuit(name: str, *, actor: Actor, reason: str) -> bool:
    """Close the circuit of a dependency, whoever has opened it; return False if it is closed, or nobody knows it.

    What waits for its next attempt is due at once. Raises ReasonRequired.
    """
    _require(reason, "close")
    with transaction.atomic(using=_database()):
        row = Dependency.objects.filter(name=name).first()
        if row is None or not Dependency.objects.close_by_hand(name):
            return False
        acts.record(row, actor=actor, flag=acts.CHANGE, said=f"closed: {reason.strip()}")
        tell = partial(signals.tell, signals.circuit_closed, Dependency, dependency=row)
        transaction.on_commit(tell, using=_database())
    return True


def replay_dead(name: str, *, actor: Actor, reason: str = "") -> int:
    """Have the dead letters replayed that died of a dependency until now; return how many there are.

    The processes that make retries do it, some hundreds per second, once its circuit is closed. Letters that die of it
    later are not meant.
    """
    with transaction.atomic(using=_database()):
        row = Dependency.objects.filter(name=name).first()
        if row is None:
            return 0
        count = row.dead().count()
        if count:
            Dependency.objects.ask_for_replay(name, replay_by=acts.name_of(actor))
            said = f"replayed {count} dead letters: {reason.strip()}".rstrip(": ")
            acts.record(row, actor=actor, flag=acts.CHANGE, said=said)
    return count


def replay_some(name: str) -> int:
    """Replay up to a hundred letters of those that `replay_dead` was asked for; return how many."""
    can_skip = connections[_database()].features.has_select_for_update_skip_locked
    replayed = 0
    with transaction.atomic(using=_database()):
        asked = Dependency.objects.filter(name=name, replay_until__isnull=False)
        row = asked.select_for_update(skip_locked=can_skip).first()
        if row is None:
            return 0  # or another process is at it
        meant = row.dead().filter(last_failed_at__lte=row.replay_until).order_by("pk")
        letters = list(meant.select_for_update(skip_locked=can_skip)[:BATCH])
        for letter in letters:
            with suppress(IllegalTransition):  # somebody was faster
                deadletters.replay(letter, actor=row.replay_by, reason=f"{name} is back")
                replayed += 1
        if not letters:  # what somebody has locked, he acts on
            Dependency.objects.end_replay(name)
    return replayed


def _require(reason: str, verb: str) -> None:
    if not reason.strip():
        raise ReasonRequired(f"say why you {verb} this circuit; others will want to know")


def _database() -> str:
    return router.db_for_write(Dependency)
