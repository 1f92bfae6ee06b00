"""In which order to send what was read."""

from collections.abc import Sequence
from operator import itemgetter

from django_dlq.models.outgoing import Outgoing, id_of, priority_of

_rank = itemgetter(0)


def in_sending_order(rows: Sequence[Outgoing], waiting: Sequence[Outgoing] = ()) -> list[Outgoing]:
    """Put the more urgent first, and of equals the earlier, but never a message before an earlier one of its key.

    An earlier message is as urgent as the most urgent one that its key has later, or that waits for it to be sent.
    """
    ordered = sorted(rows, key=id_of)
    if not waiting and not any(map(priority_of, ordered)):
        return ordered
    urgency = {row.thread: row.priority for row in sorted(waiting, key=priority_of)}
    ranked: list[tuple[int, Outgoing]] = []
    for row in reversed(ordered):
        rank = row.priority
        if row.key is not None:
            rank = urgency[row.thread] = max(rank, urgency.get(row.thread, 0))
        ranked.append((-rank, row))
    ranked.reverse()
    return [row for _, row in sorted(ranked, key=_rank)]
