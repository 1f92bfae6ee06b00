"""Doing one act to many rows, and saying what became of each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _

from django_dlq.admin.verbs import Verb, Words
from django_dlq.exceptions import DeskError, HalfMessageError

logger = logging.getLogger(__name__)

MOST_REASONS_SHOWN: Final = 3


@dataclass(slots=True)
class Outcome:
    """What became of the rows of one act. What is not counted as done was not done."""

    done: int = 0
    skipped: list[str] = field(default_factory=list)
    not_tried: int = 0


def carry_out(verb: Verb, model: type[Model], ids: Sequence[int], *, user: Any, reason: str) -> Outcome:
    """Do something to rows of one kind, one after another, each in its own transaction.

    A row whose state has changed since somebody looked is skipped. If the database fails, the rest is not tried.
    """
    outcome, act = Outcome(), verb.act
    assert act is not None
    for place, pk in enumerate(ids):
        try:
            act(model._default_manager.get(pk=pk), actor=user, reason=reason)
        except ObjectDoesNotExist:
            outcome.skipped.append(_("%(kind)s %(id)s is gone") % {"kind": model._meta.verbose_name, "id": pk})
        except (DeskError, HalfMessageError) as error:
            outcome.skipped.append(str(error))
        except DatabaseError:
            logger.exception("%s of %s %s failed", verb.name, model._meta.verbose_name, pk)
            outcome.not_tried = len(ids) - place
            break
        else:
            outcome.done += 1
    return outcome


def tell(request: HttpRequest, outcome: Outcome, *, verb: Verb, words: Words) -> None:
    """Write what happened, and nothing more than that, as messages."""
    if outcome.done:
        messages.success(request, words.done % {"count": outcome.done, "done": verb.done})
    if outcome.skipped:
        why = "; ".join(outcome.skipped[:MOST_REASONS_SHOWN])
        more = "…" if len(outcome.skipped) > MOST_REASONS_SHOWN else "."
        messages.warning(request, words.skipped % {"count": len(outcome.skipped), "why": why + more})
    if outcome.not_tried:
        messages.error(request, words.not_tried % {"count": outcome.not_tried})
