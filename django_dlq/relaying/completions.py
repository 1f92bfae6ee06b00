"""Move to the history what the broker has confirmed, while the next batches are read and sent."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from django.db import DatabaseError, InterfaceError, router, transaction

from django_dlq import burial, signals
from django_dlq.contention import over_contention
from django_dlq.exceptions import LeaseLost
from django_dlq.models import OutboxMessage, RelayLane
from django_dlq.models.outgoing import Outgoing, id_of, lane_of, letter_of
from django_dlq.models.postgresql import Fence, Place
from django_dlq.relaying.share import Share
from django_dlq.relaying.stages import Stage
from django_dlq.relaying.waiting import wait_with_lanes


@dataclass(frozen=True, slots=True)
class Completion:
    """A batch that is confirmed, and is being moved to the history."""

    rows: Sequence[Outgoing]
    future: "Future[None]"


class Completions:
    """The batches that are on their way to the history, the first to be confirmed first.

    left: the ids of what has left the outbox, until somebody clears it.
    """

    def __init__(self, share: Share, stage: Stage, sender: type) -> None:
        self.left: list[int] = []
        self._share = share
        self._stage = stage
        self._sender = sender
        self._pending: deque[Completion] = deque()

    def __len__(self) -> int:
        """Return how many batches are not known to be completed."""
        return len(self._pending)

    def begin(self, rows: Sequence[Outgoing], places: Sequence[Place]) -> None:
        """Have a batch moved that is confirmed; `places` says of each of its rows where the broker has it."""
        fence = self._share.fence(sorted(set(map(lane_of, rows))))
        self._pending.append(Completion(rows, self._stage.submit(_insist_on_completing, rows, places, fence)))

    def settle(self, most: int) -> bool:
        """Take note of what is completed, and wait until at most so many batches are not.

        Return whether there was a replay among it. Raises LeaseLost if some of it is another relay's by now.
        """
        has_replay = False
        while self._pending and (len(self._pending) > most or self._pending[0].future.done()):
            completion = self._pending[0]
            wait_with_lanes([completion.future], self._share, self._sender)
            completion.future.result()
            self._pending.popleft()
            self.left.extend(map(id_of, completion.rows))
            self._share.count(len(completion.rows))
            signals.tell(signals.messages_published, self._sender, rows=completion.rows)
            has_replay = has_replay or any(map(letter_of, completion.rows))
        return has_replay

    def forget(self) -> None:
        """Let go of all of them when they have ended, however they do: the outbox knows what has become of them."""
        pending = [completion.future for completion in self._pending]
        with suppress(LeaseLost, DatabaseError, InterfaceError):  # then there is nothing to be kept
            wait_with_lanes(pending, self._share, self._sender)
        wait(pending)
        self._pending.clear()
        self.left.clear()
        self._stage.let_go()

    def close(self) -> None:
        """End the thread that completes."""
        self._stage.close()


def _insist_on_completing(rows: Sequence[Outgoing], places: Sequence[Place], fence: Fence) -> None:
    """Complete, and again if that meets other transactions: if it were given up, all would be sent again."""
    over_contention(partial(_complete, rows, places, fence), using=router.db_for_write(OutboxMessage))


def _complete(rows: Sequence[Outgoing], places: Sequence[Place], fence: Fence) -> None:
    """Move what is confirmed to the history; raise LeaseLost if some of it is another relay's by now."""
    if any(map(letter_of, rows)):
        replays = [row.letter_id for row in rows if row.letter_id is not None]
        with transaction.atomic(using=router.db_for_write(OutboxMessage)):
            moved = OutboxMessage.objects.complete(places, fence)
            burial.resolve_replays(replays)
    else:
        moved = OutboxMessage.objects.complete(places, fence)
    if moved < len(places):
        # Either a lane is lost, or somebody has deleted rows that were being sent.
        RelayLane.objects.fence(fence.owner, fence.held)
