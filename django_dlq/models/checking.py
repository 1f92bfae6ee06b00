"""Half messages in the hands of those who ask about them: leased, and given back with an answer."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import takewhile
from typing import Any

from django.db import connections, transaction
from django.db.models import BooleanField, F, Func, Value

from django_dlq import signals
from django_dlq.exceptions import ProcessDied
from django_dlq.fingerprint import Failure, class_path
from django_dlq.models import postgresql
from django_dlq.models.clock import DatabaseNow, in_future
from django_dlq.models.half_message import HalfMessage, HalfMessageQuerySet
from django_dlq.models.half_message_check import COUNTED, Answer, HalfMessageCheck
from django_dlq.models.half_states import DecidedBy, HalfState
from django_dlq.models.outbox_message import OutboxMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A half message, what came of asking about it, and how many seconds that took."""

    half: HalfMessage
    answer: Answer
    seconds: float = 0.0
    failure: Failure | None = field(default=None)

    @property
    def is_last(self) -> bool:
        """Whether the checker has been asked as often as it may be, and does not know."""
        return self.answer == Answer.UNKNOWN and self.half.checks + 1 >= self.half.most_checks

    def line(self) -> HalfMessageCheck:
        """Return the line of the timeline for it."""
        failure = self.failure
        return HalfMessageCheck(
            half_id=self.half.pk,
            answer=self.answer,
            seconds=self.seconds,
            owner=self.half.owner,
            error_class="" if failure is None else failure.error_class,
            error_message="" if failure is None else failure.error_message,
            traceback="" if failure is None else failure.traceback,
        )


def lease_due(
    owner: str,
    names: Collection[str],
    *,
    most: int,
    lease: timedelta,
    most_deaths: int,
    is_idle: bool,
    using: str,
) -> Sequence[HalfMessage]:
    """Take up to so many half messages in hand whose check is due, and whose checker has one of these names.

    Nobody else takes them before the lease has run out, by the database's clock. Those that somebody is deciding right
    now, or is taking in hand, are passed over. Where a lease of somebody else had run out, the timeline says so: he has
    died, perhaps of the checker. The next who asks about it does so with nothing else in hand, if he `is_idle`, and
    before that about nothing that is due later; after `most_deaths` nobody does.
    """
    rows = HalfMessage.objects.using(using)
    can_skip = connections[using].features.has_select_for_update_skip_locked
    with transaction.atomic(using=using):
        found = list(rows.due().filter(checker__in=names).select_for_update(skip_locked=can_skip)[:most])
        lost = [half for half in found if half.owner]
        _blame(lost, most_deaths, using=using)
        halves = _in_turn([half for half in found if not half.owner], is_idle=is_idle)
        _among(rows, halves).update(owner=owner, epoch=F("epoch") + 1, next_check_at=in_future(lease))
    if lost and not halves:  # now they are free
        return lease_due(owner, names, most=most, lease=lease, most_deaths=most_deaths, is_idle=is_idle, using=using)
    for half in halves:
        half.owner, half.epoch = owner, half.epoch + 1
    return halves


def _in_turn(halves: Sequence[HalfMessage], *, is_idle: bool) -> Sequence[HalfMessage]:
    """Return those that may be asked about beside each other, or one that is asked about alone."""
    if halves and halves[0].deaths:
        return halves[:1] if is_idle else ()
    return list(takewhile(lambda half: not half.deaths, halves))


def _blame(halves: Sequence[HalfMessage], most_deaths: int, *, using: str) -> None:
    """Count a death of the process that had these in hand; they are still due, or for a person to decide."""
    lines: list[HalfMessageCheck] = []
    for half in halves:
        lines.append(line := Asked(half=half, answer=Answer.LOST).line())
        half.deaths += 1
        verb, changes = "wait", dict[str, Any]()
        if half.deaths >= most_deaths:
            verb, changes = "give_up", {"next_check_at": None}
            line.error_class = class_path(ProcessDied())
            line.error_message = (
                f"its process died {half.deaths} times while its checker was asked, each time but the first with "
                "nothing else in hand"
            )
            half.state = HalfState.UNDECIDED
            told = partial(signals.tell, signals.half_message_undecided, HalfMessage, half=half)
            transaction.on_commit(told, using=using)
        HalfMessage.objects.using(using).filter(pk=half.pk).move(verb, owner="", deaths=half.deaths, **changes)
    _add(lines, using)


def give_back(halves: Collection[HalfMessage], *, using: str) -> None:
    """Let others ask about these at once: nobody has asked yet."""
    for half in halves:
        held = HalfMessage.objects.using(using).filter(pk=half.pk, epoch=half.epoch)
        held.move("wait", owner="", next_check_at=DatabaseNow())


def write_down(answers: Collection[Asked], *, using: str) -> list[Asked]:
    """Carry out what checkers have said, with a line in each timeline, in one transaction; return what must wait.

    What was decided meanwhile, or has been taken over by somebody else after the lease ran out, is left as it is: that
    is newer than the answer. What somebody has locked, perhaps to decide it, must wait until it is known what he does.
    """
    with transaction.atomic(using=using):
        halves = _among(HalfMessage.objects.using(using), [asked.half for asked in answers])
        can_skip = connections[using].features.has_select_for_update_skip_locked
        locked = _still_asked(answers, halves.order_by("pk").select_for_update(skip_locked=can_skip))
        for verb, moved, changes in _moves(locked):
            _among(HalfMessage.objects.using(using), moved).move(verb, **changes)
        committed = [asked.half for asked in locked if asked.answer == Answer.COMMIT]
        OutboxMessage.objects.add([half.outbox_row() for half in committed], using=using)
        lines = [asked.line() for asked in locked]
        _add(lines, using)
        transaction.on_commit(partial(_tell, locked, lines), using=using)
    written = {asked.half.pk for asked in locked}
    left = [asked for asked in answers if asked.half.pk not in written]
    return _still_asked(left, _among(HalfMessage.objects.using(using), [asked.half for asked in left])) if left else []


def _still_asked(answers: Collection[Asked], rows: HalfMessageQuerySet) -> list[Asked]:
    """Return the answers to what is still in the hands of those who asked, as far as it is among these rows."""
    epochs = dict(rows.filter(state=HalfState.PREPARED).values_list("pk", "epoch"))
    return [asked for asked in answers if epochs.get(asked.half.pk) == asked.half.epoch]


def _among(rows: HalfMessageQuerySet, halves: Collection[HalfMessage]) -> HalfMessageQuerySet:
    """Return the rows of these half messages; to PostgreSQL their ids travel as one parameter, which binds faster."""
    ids = [half.pk for half in halves]
    if connections[rows.db].vendor != "postgresql":
        return rows.filter(pk__in=ids)
    array = Value("{" + ",".join(map(str, ids)) + "}")
    template, joiner = "(%(expressions)s::bigint[]))", " = ANY("
    return rows.filter(Func(F("pk"), array, template=template, arg_joiner=joiner, output_field=BooleanField()))


def _add(lines: Sequence[HalfMessageCheck], using: str) -> None:
    if connections[using].vendor == "postgresql" and lines:
        ids = postgresql.insert(HalfMessageCheck, lines, using=using, without=frozenset({"at"}))
        for line, pk in zip(lines, ids, strict=True):
            line.pk, line._state.adding, line._state.db = pk, False, using
            line.__dict__.pop("at", None)  # read on access
    else:
        HalfMessageCheck.objects.using(using).bulk_create(lines)


def _moves(held: Collection[Asked]) -> Iterator[tuple[str, list[HalfMessage], dict[str, Any]]]:
    """Return which verb is carried out for which half messages, with which columns."""
    decided = {"decided_at": DatabaseNow(), "decided_by": DecidedBy.CHECK, "next_check_at": None}
    later = {"next_check_at": DatabaseNow() + F("check_every")}
    kinds: dict[tuple[str, bool], tuple[str, dict[str, Any]]] = {
        (Answer.COMMIT, False): ("commit", decided),
        (Answer.ROLLBACK, False): ("rollback", decided),
        (Answer.UNKNOWN, True): ("give_up", {"next_check_at": None}),
        (Answer.UNKNOWN, False): ("wait", later),
        (Answer.UNREACHABLE, False): ("wait", later),
    }
    for (answer, is_last), (verb, changes) in kinds.items():
        halves = [asked.half for asked in held if (asked.answer, asked.is_last) == (answer, is_last)]
        counted = {"checks": F("checks") + 1} if answer in COUNTED else {}
        if halves:
            yield verb, halves, {"owner": "", "deaths": 0, **counted, **changes}


def _tell(held: Collection[Asked], lines: Collection[HalfMessageCheck]) -> None:
    for asked, line in zip(held, lines, strict=True):
        half = asked.half
        signals.tell(signals.half_message_checked, HalfMessage, half=half, check=line)
        if asked.answer in (Answer.COMMIT, Answer.ROLLBACK):
            half.state = HalfState.COMMITTED if asked.answer == Answer.COMMIT else HalfState.ROLLED_BACK
            half.decided_by = DecidedBy.CHECK
            signals.tell(signals.half_message_decided, HalfMessage, half=half)
        elif asked.is_last:
            half.state = HalfState.UNDECIDED
            signals.tell(signals.half_message_undecided, HalfMessage, half=half)
