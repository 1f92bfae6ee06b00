"""What it takes to tell how things are, where ten million messages wait and ten million were sent."""

from collections.abc import Callable
from functools import partial

from benchmarks import database
from benchmarks.measure import Comparison, Result, in_turns, seconds
from benchmarks.raw import Connection
from benchmarks.relay import fill
from django_dlq import metrics as asked

TOPIC = "bench-metrics"
ROWS = 10_000_000
LATELY = 6_000
"""Messages of the last minute; their ids are the lowest, as in a catch-up."""

COLUMNS = 'message_id, message_key, topic, key, tag, headers, body, broker, lane, priority, "group", created_at'
# A thousand in a second, the last of them an hour ago.
HISTORY = f"""
    INSERT INTO django_dlq_publishedmessage (outbox_id, {COLUMNS}, published_at)
    SELECT id, {COLUMNS}, now() - interval '1 hour' - (%s - row_number() OVER (ORDER BY id)) * interval '1 millisecond'
    FROM django_dlq_outboxmessage WHERE id >= %s ORDER BY id
    """
CAUGHT_UP = f"""
    INSERT INTO django_dlq_publishedmessage (outbox_id, {COLUMNS}, published_at)
    SELECT id, {COLUMNS}, now() FROM django_dlq_outboxmessage WHERE id < %s ORDER BY id
    """
FIRST = "SELECT min(id) FROM django_dlq_outboxmessage"
COUNTED = "SELECT topic, lane, count(*), min(created_at) FROM django_dlq_outboxmessage GROUP BY 1, 2"
SENT = """
    SELECT topic, lane, count(*), avg(published_at - created_at) FROM django_dlq_publishedmessage
    WHERE published_at > now() - interval '1 minute' GROUP BY 1, 2
    """


def metrics(rounds: int) -> Result:
    """Ask for all figures, and for what the outbox and the history tell, beside reading the whole tables."""
    database.empty()
    fill.fill(TOPIC, ROWS)
    with database.by_hand() as hand:
        first = _first(hand)
        hand.execute(HISTORY, (ROWS, first + LATELY))
        database.settle()

        def just_sent(ask: Callable[[], object]) -> float:
            hand.execute("DELETE FROM django_dlq_publishedmessage WHERE outbox_id < %s", (first + LATELY,))
            hand.execute(CAUGHT_UP, (first + LATELY,))
            return _milliseconds(ask)

        everything, waiting, counted, sent, scanned = in_turns(
            rounds,
            [
                partial(_milliseconds, asked.snapshot),
                partial(_milliseconds, asked.outbox),
                partial(_milliseconds, partial(_read, hand, COUNTED)),
                partial(just_sent, asked.published),
                partial(just_sent, partial(_read, hand, SENT)),
            ],
        )
    size = f"{ROWS:,} messages"
    return Result(
        figures=[
            Comparison(name=f"metrics.snapshot(), {size} wait", unit="ms", ours=everything, note="all figures"),
            _comparison(f"metrics.outbox(), {size} wait", waiting, counted),
            _comparison(f"metrics.published(), {size} were sent", sent, scanned),
        ]
    )


def _comparison(name: str, ours: list[float], other: list[float]) -> Comparison:
    return Comparison(name=name, unit="ms", ours=ours, other=other, against="counting all, by hand")


def _milliseconds(ask: Callable[[], object]) -> float:
    return seconds(ask) * 1000


def _first(hand: Connection) -> int:
    row = hand.execute(FIRST).fetchone()
    assert row is not None
    return int(row[0])


def _read(hand: Connection, query: str) -> None:
    hand.execute(query).fetchall()
